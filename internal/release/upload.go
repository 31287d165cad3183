package release

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"station/internal/store"
)

// Door is a client for authors of an update server ("station serve").
type Door struct {
	URL            string // https://host:port
	Author, Secret string
	Client         *http.Client
}

// Answer is the error for an HTTP status that was not expected.
type Answer struct {
	Status int
	Said   string // beginning of the body
}

func (a *Answer) Error() string {
	if a.Status == http.StatusUnauthorized {
		return "the server answers 401: it knows no author of that name with that password"
	}
	return fmt.Sprintf("the server answers %d %s: %s", a.Status, http.StatusText(a.Status), a.Said)
}

// tries is how often the upload of a file is tried.
const tries = 5

// Upload uploads a release: its files, then the document that makes it visible to
// devices. open opens the file with that digest. What the server has is not sent again,
// so an upload that failed can simply be repeated.
func (d *Door) Upload(ctx context.Context, doc *Release, open func(store.Digest) (io.ReadSeekCloser, error)) error {
	for _, f := range doc.Forms {
		if err := d.uploadFile(ctx, f, open); err != nil {
			return fmt.Errorf("upload: release %d, %s: %w", doc.ID, f.Kind, err)
		}
	}
	if err := d.Put(ctx, doc); err != nil {
		return fmt.Errorf("upload: release %d: %w", doc.ID, err)
	}
	return nil
}

// Put uploads only the document of a release, for example to withdraw it.
func (d *Door) Put(ctx context.Context, doc *Release) error {
	_, err := d.ask(ctx, "PUT", fmt.Sprintf("/v1/releases/%s/%d", url.PathEscape(doc.Product), doc.ID), bytes.NewReader(doc.JSON()), nil, http.StatusNoContent)
	return err
}

// uploadFile uploads a file, or the part of it that the server does not have.
func (d *Door) uploadFile(ctx context.Context, f Form, open func(store.Digest) (io.ReadSeekCloser, error)) error {
	content, err := open(store.Digest(f.SHA256))
	if err != nil {
		return err
	}
	defer content.Close()
	last := error(nil)
	for range tries {
		at, whole, err := d.has(ctx, f)
		if err != nil || whole {
			return err
		}
		if _, err := content.Seek(at, io.SeekStart); err != nil {
			return err
		}
		if last = d.uploadPart(ctx, f, at, content); last == nil {
			return nil
		}
		if a, is := errors.AsType[*Answer](last); is && a.Status != http.StatusConflict || ctx.Err() != nil {
			return last
		}
	}
	return last
}

// has asks how many bytes of a file the server has; whole tells that it has all.
func (d *Door) has(ctx context.Context, f Form) (at int64, whole bool, err error) {
	resp, err := d.ask(ctx, "HEAD", "/v1/artifacts/"+f.SHA256, nil, nil, http.StatusOK, http.StatusNotFound)
	if err != nil || resp.StatusCode == http.StatusOK {
		return 0, err == nil, err
	}
	at, err = strconv.ParseInt(resp.Header.Get("Upload-Offset"), 10, 64)
	if err != nil || at < 0 || at > f.Size {
		return 0, false, errors.New("the server does not say how much of it is there: is it \"station serve\"?")
	}
	return at, false, nil
}

// uploadPart sends the bytes of a file from offset at on.
func (d *Door) uploadPart(ctx context.Context, f Form, at int64, content io.Reader) error {
	_, err := d.ask(ctx, "PATCH", "/v1/artifacts/"+f.SHA256, content,
		map[string]string{"Upload-Offset": fmt.Sprint(at), "Upload-Length": fmt.Sprint(f.Size)}, http.StatusNoContent)
	return err
}

// ask sends a request and reads the answer. A status that is not in want is an *Answer
// as error.
func (d *Door) ask(ctx context.Context, method, path string, body io.Reader, header map[string]string, want ...int) (*http.Response, error) {
	if file, is := body.(io.Closer); is && file != nil { // the caller closes it, so net/http must not
		body = io.MultiReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, strings.TrimSuffix(d.URL, "/")+path, body)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(d.Author, d.Secret)
	for name, value := range header {
		r.Header.Set(name, value)
	}
	resp, err := d.Client.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	for _, status := range want {
		if resp.StatusCode == status {
			return resp, err
		}
	}
	return nil, &Answer{resp.StatusCode, strings.TrimSpace(string(said))}
}

// UploadEnvironment uploads manifest and pre-encrypted app as authors of the secure-FOTA
// environment do; the server offers them to all devices of the type at once. It also
// sends version and secure version, which the server cannot read from these files.
func (d *Door) UploadEnvironment(ctx context.Context, doc *Release, open func(store.Digest) (io.ReadSeekCloser, error)) error {
	body, kind, err := environmentForm(doc, open)
	if err != nil {
		return fmt.Errorf("upload: release %d: %w", doc.ID, err)
	}
	q := url.Values{"id": {fmt.Sprint(doc.ID)}, "deviceType": {doc.Product}, "fwName": {doc.Name}, "version": {doc.Version}, "secureVersion": {fmt.Sprint(doc.SecureVersion)}}
	if _, err := d.ask(ctx, "POST", "/uploadFile?"+q.Encode(), body, map[string]string{"Content-Type": kind}, http.StatusOK); err != nil {
		return fmt.Errorf("upload: release %d: %w", doc.ID, err)
	}
	return nil
}
