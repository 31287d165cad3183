package serve

import (
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"

	"station/internal/release"
)

// uploadFile takes a release as the environment's authors send it: it is
// offered to every device of its type at once, as there.
func (s *Server) uploadFile(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id, err := parseID(q.Get("id"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	doc := &release.Release{Format: release.Format, ID: id, Product: q.Get("deviceType"), Name: q.Get("fwName")}
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
	if err := s.checkForms(doc); err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	if err := s.publish(doc); err != nil {
		s.fail(w, r, err)
		return
	}
	_, _ = io.WriteString(w, "OK")
}

// takeParts stores the files as they come.
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

// badUpload is the author's fault.
type badUpload struct{ err error }

func (e *badUpload) Error() string { return e.err.Error() }
func (e *badUpload) Unwrap() error { return e.err }

// publish makes a release visible and offers it to all.
func (s *Server) publish(doc *release.Release) error {
	if err := s.register(doc); err != nil {
		return err
	}
	if roll, _, err := release.LoadRollout(s.Store, doc.Product, doc.ID); err != nil || roll != nil {
		return err
	}
	roll := release.Rollout{Product: doc.Product, Release: doc.ID, Percent: 100, State: release.Running, Samples: release.DefaultSamples, Failures: 100}
	_, err := s.Store.Set(release.RolloutKey(doc.Product, doc.ID), roll.JSON(), 0)
	return err
}
