package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"station/internal/release"
	"station/internal/store"
)

// uploaded answers how many bytes of a file have arrived, so that the author can go on
// with an interrupted upload from there.
func (s *Server) uploaded(w http.ResponseWriter, r *http.Request) {
	d, err := store.ParseDigest(r.PathValue("digest"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.Store.Has(d) {
		w.Header().Set("Upload-Complete", "?1")
		return
	}
	n, err := s.Store.Incoming(d)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Upload-Offset", strconv.FormatInt(n, 10))
	w.WriteHeader(http.StatusNotFound)
}

// uploadPart takes the bytes of a file from Upload-Offset on.
func (s *Server) uploadPart(w http.ResponseWriter, r *http.Request) {
	d, err := store.ParseDigest(r.PathValue("digest"))
	offset, err1 := strconv.ParseInt(r.Header.Get("Upload-Offset"), 10, 64)
	total, err2 := strconv.ParseInt(r.Header.Get("Upload-Length"), 10, 64)
	switch {
	case errors.Join(err, err1, err2) != nil || offset < 0 || total < 1:
		http.Error(w, "want a digest, Upload-Offset and Upload-Length", http.StatusBadRequest)
		return
	case total > s.most():
		http.Error(w, fmt.Sprintf("more than %d bytes", s.most()), http.StatusRequestEntityTooLarge)
		return
	}
	have, err := s.Store.Resume(d, offset, total, r.Body)
	w.Header().Set("Upload-Offset", strconv.FormatInt(have, 10))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// putRelease takes the document of a release whose files have all been uploaded, and
// makes the release visible to devices.
func (s *Server) putRelease(w http.ResponseWriter, r *http.Request) {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	doc, err := release.Parse(data)
	if err == nil && (doc.Product != r.PathValue("product") || fmt.Sprint(doc.ID) != r.PathValue("id")) {
		err = errors.New("release: it is another one than its address says")
	}
	if err == nil {
		err = s.checkForms(doc)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusUnprocessableEntity)
		return
	}
	if err := s.register(doc); err != nil {
		s.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// register stores a release under its number. The same release again is no error; a
// number that belongs to another product or to other content is errTaken.
func (s *Server) register(doc *release.Release) error {
	claim := release.ClaimKey(doc.ID)
	_, err := s.Store.Set(claim, []byte(doc.Product), 0)
	if errors.Is(err, store.ErrConflict) {
		var owner []byte
		if owner, _, err = s.Store.Get(claim); err == nil && string(owner) != doc.Product {
			return fmt.Errorf("release %d: %w: it is of another product", doc.ID, errTaken)
		}
	}
	if err != nil {
		return err
	}
	return s.write(doc)
}

// errTaken: another release has the number already.
var errTaken = errors.New("the number is taken by other content")

// write stores the document of a release, where there is none yet. One with the same
// content is completed by what the new document knows more; a release that was withdrawn
// stays withdrawn.
func (s *Server) write(doc *release.Release) error {
	key := release.Key(doc.Product, doc.ID)
	old, revision, err := release.Load(s.Store, doc.Product, doc.ID)
	if errors.Is(err, store.ErrNotFound) {
		_, err = s.Store.Set(key, doc.JSON(), 0)
		return err
	}
	if err != nil {
		return err
	}
	if !old.Same(doc) {
		return fmt.Errorf("release %d: %w", doc.ID, errTaken)
	}
	if old.Complete(doc) {
		_, err = s.Store.Set(key, old.JSON(), revision)
	}
	return err
}

// listReleases answers with the documents of all releases of a product, the newest
// first.
func (s *Server) listReleases(w http.ResponseWriter, r *http.Request) {
	product := r.PathValue("product")
	if release.CheckProduct(product) != nil {
		notFound(w)
		return
	}
	list, err := release.LoadAll(s.Store, product, s.leftOut)
	if err == nil && len(list) == 0 {
		err = fmt.Errorf("releases of %s: %w", product, store.ErrNotFound)
	}
	if err != nil {
		s.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}
