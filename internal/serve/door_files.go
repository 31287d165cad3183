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

// The door of plain files, for esp_https_ota and whatever speaks HTTP.

// file gives a form of the release that the device is offered, by its name.
func (s *Server) file(v *visit) {
	kind, ok := release.KindOf(v.ask.PathValue("file"))
	if !ok || v.ask.PathValue("product") != v.device.Product {
		nothing(v)
		return
	}
	s.give(v, kind)
}

// give gives a form of the release that the device is offered; "" is the one
// that it reads best.
func (s *Server) give(v *visit, kind release.Kind) {
	r, err := s.offer(v)
	switch {
	case err != nil:
		s.fail(v, v.ask, err)
	case r == nil:
		nothing(v)
	default:
		s.giveForm(v, r, kind)
	}
}

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
	nothing(v)
}

// send sends a file of a release, or the part of it that was asked for, or that it
// is still the same: HEAD, Range, If-Range, If-None-Match are ServeContent's. The
// release's number goes with it: a device tells by it how the update ended.
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

// maxRanges of one request: each may be all of the file.
const maxRanges = 4

// bytesOf are the ranges of bytes that a request asks for, of so many, as RFC 9110
// has them; empty where it asks for none: another unit, and any of another method than
// GET, is as if it were not there. The last 0 bytes are a range behind the end.
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

// fileResult takes how an update ended: {"release":7,"result":"success","message":"…"}.
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

// done answers a word of a device that needs no answer.
func (s *Server) done(v *visit, err error) {
	if err != nil {
		s.fail(v, v.ask, err)
		return
	}
	v.WriteHeader(http.StatusOK)
}

// maxBody is what a device may say at a time.
const maxBody = 64 << 10

// body reads what a device says, in JSON, of which only a little is wanted.
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

// short keeps what a device says fit for an entry.
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
