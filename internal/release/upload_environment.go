package release

import (
	"bytes"
	"fmt"
	"io"
	"mime/multipart"

	"station/internal/store"
)

// EnvironmentFiles are the parts of an upload as the secure-FOTA environment has it.
var EnvironmentFiles = map[string]Kind{"manifestFile": KindManifest, "firmwareFile": KindEncrypted}

// environmentForm is such an upload.
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
