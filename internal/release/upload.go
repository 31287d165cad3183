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

// Door is the authors' door of an update server ("station serve").
type Door struct {
	URL            string // https://host:port
	Author, Secret string
	Client         *http.Client
}

// Answer is what a server said that was not what it should.
type Answer struct {
	Status int
	Said   string
}

func (a *Answer) Error() string {
	if a.Status == http.StatusUnauthorized {
		return "the server answers 401: it knows no author of that name with that password"
	}
	return fmt.Sprintf("the server answers %d %s: %s", a.Status, http.StatusText(a.Status), a.Said)
}

// tries is how often an upload goes on that broke off and had moved.
const tries = 5

// Upload brings a release to the server: its files, then the document that makes
// it visible there. What the server has already is left alone, so the same once
// more has the same result, and what broke off goes on.
func (d *Door) Upload(ctx context.Context, doc *Release, open func(store.Digest) (io.ReadSeekCloser, error)) error {
	for _, f := range doc.Forms {
		if err := d.bring(ctx, f, open); err != nil {
			return fmt.Errorf("upload: release %d, %s: %w", doc.ID, f.Kind, err)
		}
	}
	if err := d.Put(ctx, doc); err != nil {
		return fmt.Errorf("upload: release %d: %w", doc.ID, err)
	}
	return nil
}

// Put brings the document alone: what it says of its being withdrawn, too.
func (d *Door) Put(ctx context.Context, doc *Release) error {
	_, err := d.ask(ctx, "PUT", fmt.Sprintf("/v1/releases/%s/%d", url.PathEscape(doc.Product), doc.ID), bytes.NewReader(doc.JSON()), nil, http.StatusNoContent)
	return err
}

func (d *Door) bring(ctx context.Context, f Form, open func(store.Digest) (io.ReadSeekCloser, error)) error {
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
		if last = d.part(ctx, f, at, content); last == nil {
			return nil
		}
		if a, is := errors.AsType[*Answer](last); is && a.Status != http.StatusConflict || ctx.Err() != nil {
			return last
		}
	}
	return last
}

// has tells how much of a file the server has.
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

// part brings a file from at on.
func (d *Door) part(ctx context.Context, f Form, at int64, content io.Reader) error {
	_, err := d.ask(ctx, "PATCH", "/v1/artifacts/"+f.SHA256, content,
		map[string]string{"Upload-Offset": fmt.Sprint(at), "Upload-Length": fmt.Sprint(f.Size)}, http.StatusNoContent)
	return err
}

// ask asks and demands one of the statuses; the body of the answer is read.
func (d *Door) ask(ctx context.Context, method, path string, body io.Reader, header map[string]string, want ...int) (*http.Response, error) {
	if file, is := body.(io.Closer); is && file != nil { // it is the caller's to close
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

// UploadEnvironment brings manifest and binary as authors of the secure-FOTA
// environment do: the server offers them to all devices of the type at once. It also says what
// the server cannot read in them: version and secure version.
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
