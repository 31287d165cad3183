package serve

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"strconv"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// uploadFile takes a release as authors of the secure-FOTA environment upload it, in one
// multipart form. As in that environment it is offered to all devices of the type at
// once.
func (s *Server) uploadFile(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id, err := release.ParseID(q.Get("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	secure, err := strconv.ParseUint(cmp.Or(q.Get("secureVersion"), "0"), 10, 32)
	if err != nil {
		http.Error(w, fmt.Sprintf("secureVersion %.40q: want a number, or none", q.Get("secureVersion")), http.StatusBadRequest)
		return
	}
	doc := &release.Release{Format: release.Format, ID: id, Product: q.Get("deviceType"), Name: q.Get("fwName"), Version: q.Get("version"), SecureVersion: uint32(secure)}
	for _, name := range []string{doc.Product, doc.Name} {
		if err := release.CheckProduct(name); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	r.Body = http.MaxBytesReader(w, r.Body, 2*s.most())
	form, err := r.MultipartReader()
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if err := s.takeParts(form, doc); err != nil {
		s.fail(w, r, err)
		return
	}
	if _, err = release.Parse(doc.JSON()); err == nil {
		err = s.checkForms(doc)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	if doc, err = s.existing(doc); err == nil {
		err = s.publish(doc)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	_, _ = io.WriteString(w, "OK")
}

// existing is the stored release with that number, if it has the same files as doc: it
// may have been uploaded another way and have more files. Else it is doc itself.
func (s *Server) existing(doc *release.Release) (*release.Release, error) {
	old, _, err := release.Load(s.Store, doc.Product, doc.ID)
	if errors.Is(err, store.ErrNotFound) {
		return doc, nil
	}
	if err != nil {
		return nil, err
	}
	other := old.Name != doc.Name || doc.Version != "" && doc.Version != old.Version || doc.SecureVersion != 0 && doc.SecureVersion != old.SecureVersion
	for _, f := range doc.Forms {
		had, ok := old.Form(f.Kind)
		other = other || !ok || had.SHA256 != f.SHA256
	}
	if other {
		return doc, nil
	}
	return old, nil
}

// takeParts stores the files of the form and adds them to doc.
func (s *Server) takeParts(form *multipart.Reader, doc *release.Release) error {
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return &badUpload{err}
		}
		kind, known := release.EnvironmentFiles[part.FormName()]
		if _, twice := doc.Form(kind); !known || twice {
			return &badUpload{fmt.Errorf("the part %.80q is not known, or there twice", part.FormName())}
		}
		d, size, err := s.Store.Put(part, s.most())
		if err != nil {
			return err
		}
		doc.Forms = append(doc.Forms, release.Form{Kind: kind, Size: size, SHA256: string(d)})
	}
	if len(doc.Forms) != len(release.EnvironmentFiles) {
		return &badUpload{errors.New("want the parts manifestFile and firmwareFile")}
	}
	return nil
}

// badUpload is an error of an upload for which its author is to blame: the answer is
// 400.
type badUpload struct{ err error }

func (e *badUpload) Error() string { return e.err.Error() }
func (e *badUpload) Unwrap() error { return e.err }

// publish registers a release and starts a rollout of it to all devices, where it has
// none.
func (s *Server) publish(doc *release.Release) error {
	if err := s.register(doc); err != nil {
		return err
	}
	if roll, _, err := release.LoadRollout(s.Store, doc.Product, doc.ID); err != nil || roll != nil {
		return err
	}
	roll := &release.Rollout{Product: doc.Product, Release: doc.ID, Percent: 100, State: release.Running, Samples: release.DefaultSamples, Failures: 100}
	if err := s.append(entry(record.RolloutChanged, chip.MAC{}, roll.Field(doc.Version), "as the environment hands out")); err != nil {
		return err
	}
	_, err := s.Store.Set(release.RolloutKey(doc.Product, doc.ID), roll.JSON(), 0)
	if errors.Is(err, store.ErrConflict) { // the same upload, at the same time
		return nil
	}
	return err
}
