package release

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"

	"station/internal/store"
)

// EnvironmentFiles are the parts of the multipart form by which authors of the secure-FOTA
// environment upload a release.
var EnvironmentFiles = map[string]Kind{"manifestFile": KindManifest, "firmwareFile": KindEncrypted}

// environmentForm is the body of such an upload, and its Content-Type.
func environmentForm(doc *Release, open func(store.Digest) (io.ReadSeekCloser, error)) (body *bytes.Buffer, kind string, err error) {
	body = &bytes.Buffer{}
	w := multipart.NewWriter(body)
	for _, name := range []string{"manifestFile", "firmwareFile"} {
		f, ok := doc.Form(EnvironmentFiles[name])
		if !ok {
			return nil, "", fmt.Errorf("it has no %s, which the environment's devices need", EnvironmentFiles[name])
		}
		if err := addFile(w, name, Files[f.Kind], store.Digest(f.SHA256), open); err != nil {
			return nil, "", err
		}
	}
	return body, w.FormDataContentType(), w.Close()
}

// addFile adds a stored file to the form as the part called name.
func addFile(w *multipart.Writer, name, file string, d store.Digest, open func(store.Digest) (io.ReadSeekCloser, error)) error {
	content, err := open(d)
	if err != nil {
		return err
	}
	defer content.Close()
	part, err := w.CreateFormFile(name, file)
	if err != nil {
		return err
	}
	_, err = io.Copy(part, content)
	return err
}
