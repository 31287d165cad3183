package serve

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	jsonv2 "github.com/go-json-experiment/json"

	"station/internal/release"
	"station/internal/store"
)

// This file is the door for plain HTTP clients such as esp_https_ota.

// file sends the file with that name of the release that the device is offered.
func (s *Server) file(v *visit) {
	kind, ok := release.KindOf(v.ask.PathValue("file"))
	if !ok || v.ask.PathValue("product") != v.device.Product {
		notFound(v)
		return
	}
	s.give(v, kind)
}

// give sends the file of that kind of the release that the device is offered; "" is the
// one that suits the device best.
func (s *Server) give(v *visit, kind release.Kind) {
	r, err := s.offer(v)
	switch {
	case err != nil:
		s.fail(v, v.ask, err)
	case r == nil:
		notFound(v)
	default:
		s.giveForm(v, r, kind)
	}
}

// giveForm sends the file of that kind of a release, if the device can use it.
func (s *Server) giveForm(v *visit, r *release.Release, kind release.Kind) {
	forms := r.For(v.device)
	if f, ok := r.Form(kind); ok && (kind == release.KindManifest || kind == release.KindSBOM) {
		forms = []release.Form{f}
	}
	for _, f := range forms {
		if kind == "" || f.Kind == kind {
			s.send(v, r.ID, f)
			return
		}
	}
	notFound(v)
}

// send sends a file of a release. http.ServeContent handles HEAD, Range, If-Range and
// If-None-Match. The header Station-Release has the number of the release: the device
// names it when it reports the result.
func (s *Server) send(v *visit, id int64, f release.Form) {
	content, err := s.Store.Artifact(store.Digest(f.SHA256))
	if err != nil {
		s.fail(v, v.ask, err)
		return
	}
	defer content.Close()
	h := v.Header()
	h.Set("ETag", `"`+store.Digest(f.SHA256).Hex()+`"`)
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Station-Release", strconv.FormatInt(id, 10))
	switch asked := bytesOf(v.ask, f.Size); {
	case strings.Count(asked, ",") >= maxRanges:
		h.Set("Content-Range", fmt.Sprintf("bytes */%d", f.Size))
		http.Error(v, "too many ranges", http.StatusRequestedRangeNotSatisfiable)
		return
	case asked == "":
		v.ask.Header.Del("Range")
	default:
		v.ask.Header.Set("Range", asked)
	}
	http.ServeContent(v.ResponseWriter, v.ask, "", time.Time{}, content)
}

// maxRanges is how many ranges one request may ask for: each may be the whole file.
const maxRanges = 4

// bytesOf is the Range header of a request for a file of size bytes, made safe for
// http.ServeContent; "" where RFC 9110 says to ignore it: another unit than bytes, or
// another method than GET. A suffix of 0 bytes ("-0") becomes a range behind the end,
// which cannot be satisfied.
func bytesOf(ask *http.Request, size int64) string {
	unit, set, _ := strings.Cut(ask.Header.Get("Range"), "=")
	if !strings.EqualFold(unit, "bytes") || ask.Method != http.MethodGet {
		return ""
	}
	list := strings.Split(set, ",")
	for i, one := range list {
		if last, is := strings.CutPrefix(strings.TrimSpace(one), "-"); is && last != "" && strings.Trim(last, "0") == "" {
			list[i] = fmt.Sprintf("%d-", size)
		}
	}
	return "bytes=" + strings.Join(list, ",")
}

// fileResult takes a device's report of how an update ended:
// {"release":7,"result":"success","message":"…"}.
func (s *Server) fileResult(v *visit) {
	var said struct {
		Release int64  `json:"release"`
		Result  string `json:"result"`
		Message string `json:"message"`
	}
	if !s.body(v, &said) {
		return
	}
	if said.Result != success && said.Result != failure || said.Release < 1 {
		http.Error(v, `want a release and a result, which is "success" or "failure"`, http.StatusBadRequest)
		return
	}
	s.done(v, s.result(v, said.Release, said.Result, short(said.Message)))
}

// done answers 200 without a body, or with the error.
func (s *Server) done(v *visit, err error) {
	if err != nil {
		s.fail(v, v.ask, err)
		return
	}
	v.WriteHeader(http.StatusOK)
}

// maxBody is how many bytes a device may send in one request.
const maxBody = 64 << 10

// body reads the JSON body of a device's request. Where it returns false the request has
// been answered already.
func (s *Server) body(v *visit, into any) bool {
	err := jsonv2.UnmarshalRead(http.MaxBytesReader(v.ResponseWriter, v.ask.Body, maxBody), into)
	if err == nil {
		return true
	}
	code := http.StatusBadRequest
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		code = http.StatusRequestEntityTooLarge
	}
	http.Error(v, "this is no JSON of the right form", code)
	return false
}

// short cuts a device's message to 500 bytes, so that it fits into an entry of the
// ledger.
func short(text string) string {
	most := 500
	if len(text) <= most {
		return text
	}
	for !utf8.RuneStart(text[most]) {
		most--
	}
	return text[:most] + "…"
}
