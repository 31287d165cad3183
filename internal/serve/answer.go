package serve

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"syscall"

	"station/internal/store"
)

// fail answers the request with the HTTP status of err (see failCode). A client's
// mistake is explained to it. An error of the server itself (status 500 and above) goes
// into the log, and the client sees only the status.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := failCode(err)
	if code >= 500 {
		s.counts.errors.Add(1)
		if s.Access != nil {
			s.Access.LogAttrs(r.Context(), slog.LevelError, "failed", slog.String("path", r.URL.Path), slog.String("error", err.Error()))
		}
		http.Error(w, http.StatusText(code), code)
		return
	}
	http.Error(w, err.Error(), code)
}

// failCode is the HTTP status for an error: 4xx where the client can do something about
// it, 507 where the disk is full, else 500.
func failCode(err error) int {
	_, large := errors.AsType[*http.MaxBytesError](err)
	_, bad := errors.AsType[*badUpload](err)
	switch {
	case large, errors.Is(err, store.ErrTooLarge):
		return http.StatusRequestEntityTooLarge
	case bad, errors.Is(err, store.ErrLength), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, os.ErrDeadlineExceeded):
		return http.StatusBadRequest
	case errors.Is(err, errTaken), errors.Is(err, store.ErrOffset):
		return http.StatusConflict
	case errors.Is(err, store.ErrDigest):
		return http.StatusUnprocessableEntity
	case errors.Is(err, store.ErrNotFound):
		return http.StatusNotFound
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return http.StatusInsufficientStorage
	}
	return http.StatusInternalServerError
}

// json answers with value as JSON.
func (s *Server) json(v *visit, value any) {
	v.Header().Set("Content-Type", "application/json;charset=UTF-8")
	_ = json.NewEncoder(v.ResponseWriter).Encode(value)
}
