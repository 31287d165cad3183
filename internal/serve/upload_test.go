package serve

import (
	"bytes"
	"crypto"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"station/internal/firmware"
	"station/internal/release"
	"station/internal/release/releasetest"
	"station/internal/store"
)

func digestOf(t testing.TB, w *site, data []byte) store.Digest {
	t.Helper()
	other, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	d, _, err := other.Put(bytes.NewReader(data), 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// An upload that breaks off goes on where it broke off; a release is visible
// when all of it is here.
func TestResumeUpload(t *testing.T) {
	w := newSite(t, 1)
	w.server.Most = 1 << 20
	data := bytes.Repeat([]byte("0123456789"), 20_000)
	d := digestOf(t, w, data)
	path := "/v1/artifacts/" + string(d)
	if got := w.do(anna, 404, "HEAD", path, nil); got.Header.Get("Upload-Offset") != "0" {
		t.Errorf("got %v", got.Header)
	}
	r := release.Release{Format: release.Format, ID: 7, Product: "lamp", Name: "lamp-fw", Forms: []release.Form{{Kind: release.KindApp, Size: int64(len(data)), SHA256: string(d)}}}
	w.do(anna, 422, "PUT", "/v1/releases/lamp/7", bytes.NewReader(r.JSON()))
	// The line is cut.
	ask, err := http.NewRequest("PATCH", w.url+path, io.MultiReader(bytes.NewReader(data[:70_000]), iotest.ErrReader(errors.New("cut"))))
	if err != nil {
		t.Fatal(err)
	}
	anna(ask)
	ask.Header.Set("Upload-Offset", "0")
	ask.Header.Set("Upload-Length", fmt.Sprint(len(data)))
	if resp, err := w.client().Do(ask); err == nil {
		resp.Body.Close()
		t.Fatalf("got %d", resp.StatusCode)
	}
	length := fmt.Sprint(len(data))
	have := ""
	for have == "" || have == "0" { // the server is still reading, perhaps
		have = w.do(anna, 404, "HEAD", path, nil).Header.Get("Upload-Offset")
	}
	w.do(anna, 409, "PATCH", path, bytes.NewReader(data), "Upload-Offset", "1", "Upload-Length", length)
	var at int
	for at < len(data) {
		if _, err := fmt.Sscan(w.do(anna, 404, "HEAD", path, nil).Header.Get("Upload-Offset"), &at); err != nil {
			t.Fatal(err)
		}
		end := min(at+50_000, len(data))
		w.do(anna, 204, "PATCH", path, bytes.NewReader(data[at:end]), "Upload-Offset", fmt.Sprint(at), "Upload-Length", length)
		at = end
	}
	if got := w.do(anna, 200, "HEAD", path, nil); got.Header.Get("Upload-Complete") != "?1" {
		t.Errorf("got %v", got.Header)
	}
	w.do(anna, 204, "PUT", "/v1/releases/lamp/7", bytes.NewReader(r.JSON()))
	w.do(anna, 204, "PUT", "/v1/releases/lamp/7", bytes.NewReader(r.JSON())) // once more is no fault
	r.Version = "2"
	w.do(anna, 409, "PUT", "/v1/releases/lamp/7", bytes.NewReader(r.JSON()))
	w.do(anna, 422, "PUT", "/v1/releases/lamp/8", bytes.NewReader(r.JSON())) // another one than its address
	r.Withdrawn = "it burns"
	r.Version = ""
	w.do(anna, 204, "PUT", "/v1/releases/lamp/7", bytes.NewReader(r.JSON()))
	r.Withdrawn = ""
	w.do(anna, 204, "PUT", "/v1/releases/lamp/7", bytes.NewReader(r.JSON()))
	if got := w.do(anna, 200, "GET", "/v1/releases/lamp", nil); !strings.Contains(string(got.body), "it burns") {
		t.Errorf("what was withdrawn came back: %s", got.body)
	}
}

func TestUploadPartFaults(t *testing.T) {
	w := newSite(t, 1)
	w.server.Most = 1000
	d := digestOf(t, w, []byte("right"))
	path := "/v1/artifacts/" + string(d)
	for _, v := range []struct {
		path, offset, length string
		status               int
	}{
		{path, "", "5", 400}, {path, "0", "", 400}, {path, "-1", "5", 400}, {path, "0", "0", 400}, {path, "0", "1001", 413}, {path, "0", "99999999999999999999", 400},
		{"/v1/artifacts/sha256:x", "0", "5", 400}, {"/v1/artifacts/..%2f..%2flock", "0", "5", 400}, {path, "0", "5", 422},
	} {
		w.do(anna, v.status, "PATCH", v.path, strings.NewReader("wrong"), "Upload-Offset", v.offset, "Upload-Length", v.length)
	}
	w.do(anna, 400, "HEAD", "/v1/artifacts/x", nil)
	for _, more := range []io.Reader{strings.NewReader("right and more"), io.MultiReader(strings.NewReader("right"), strings.NewReader("!"))} { // told before, and not
		if got := w.do(anna, 400, "PATCH", path, more, "Upload-Offset", "0", "Upload-Length", "5"); !strings.Contains(string(got.body), "more bytes than were announced") {
			t.Errorf("got %s", got.body)
		}
	}
	if left, err := os.ReadDir(filepath.Join(w.store.Dir(), "incoming")); len(left) != 0 || err != nil {
		t.Errorf("of a body that was too long %q stayed, %v", left, err)
	}
	if w.store.Has(d) {
		t.Error("the wrong bytes are there")
	}
	for _, as := range []who{nobody, device(w.devices[0])} {
		w.do(as, 401, "PATCH", path, strings.NewReader("right"), "Upload-Offset", "0", "Upload-Length", "5")
		w.do(as, 401, "HEAD", path, nil)
		w.do(as, 401, "PUT", "/v1/releases/lamp/1", strings.NewReader("{}"))
		w.do(as, 401, "GET", "/v1/releases/lamp", nil)
		w.do(as, 401, "GET", "/metrics", nil)
	}
	w.do(anna, 422, "PUT", "/v1/releases/lamp/1", strings.NewReader("{}"))
	w.do(anna, 413, "PUT", "/v1/releases/lamp/1", strings.NewReader(strings.Repeat(" ", 1<<20+1)))
}

// The files of releases stay, whatever their age; what broke off and what no release has goes.
func TestSweep(t *testing.T) {
	w := newSite(t, 1)
	app := w.put(release.KindApp, []byte("app"))
	w.release(7, "1.2.0", 100, nil, app)
	orphan := store.Digest(w.put(release.KindApp, []byte("orphan")).SHA256)
	w.do(anna, 204, "PATCH", "/v1/artifacts/"+string(digestOf(t, w, []byte("right"))), strings.NewReader("ri"), "Upload-Offset", "0", "Upload-Length", "5")
	for _, v := range []struct {
		after time.Duration
		there bool
	}{{keepFor - time.Minute, true}, {keepFor + time.Minute, false}} {
		if err := w.server.sweep(time.Now().Add(v.after)); err != nil {
			t.Fatal(err)
		}
		left, err := os.ReadDir(filepath.Join(w.store.Dir(), "incoming"))
		if _, bad := w.store.Artifact(orphan); (bad == nil) != v.there || (len(left) == 1) != v.there || err != nil {
			t.Errorf("after %s: %v, %d incoming, %v", v.after, bad, len(left), err)
		}
	}
	if got := w.do(device(w.devices[0]), 200, "GET", "/files/lamp/app.bin", nil); string(got.body) != "app" {
		t.Errorf("got %s", got.body)
	}
}

// With signers no app comes in that none of them signed; what only devices can open does, and they
// check it, as the help and the documents of the server say.
func TestSignersAreAskedForWhatCanBeRead(t *testing.T) {
	w := newSite(t, 0)
	w.server.Signers = []crypto.PublicKey{w.ca.key.Public()}
	app, err := os.ReadFile("../../fixtures/small/app.bin")
	if err != nil {
		t.Fatal(err)
	}
	image, err := firmware.ParseImage(app)
	if err != nil {
		t.Fatal(err)
	}
	whole, bundle := w.put(release.KindApp, app), w.put(release.KindBundle, releasetest.Bundle(t, app))
	bundle.Check = "0102030405060708"
	doc := release.Release{Format: release.Format, ID: 7, Product: "lamp", Name: "lamp-fw", Version: image.App.Version, SecureVersion: image.App.SecureVersion, Chip: image.ChipID, App: whole.SHA256, AppSize: whole.Size}
	for form, want := range map[release.Form]int{whole: 422, bundle: 422, w.put(release.KindEncrypted, encrypted(600, 7)): 204} {
		doc.Forms = []release.Form{form}
		w.do(anna, want, "PUT", "/v1/releases/lamp/7", bytes.NewReader(doc.JSON()))
	}
	w.upload(anna, 200, "id=8&deviceType=lamp&fwName=lamp-fw", map[string][]byte{"manifestFile": bytes.Repeat([]byte{1}, release.ManifestSize), "firmwareFile": encrypted(600, 7)})
}

// The files of a release are what it says of them.
func TestForms(t *testing.T) {
	w := newSite(t, 1)
	for _, v := range []struct {
		name string
		form release.Form
	}{
		{"size", func() release.Form { f := w.put(release.KindApp, []byte("app")); f.Size = 4; return f }()},
		{"manifest", w.put(release.KindManifest, []byte("short"))},
		{"encrypted", w.put(release.KindEncrypted, []byte("plain text"))},
		{"bundle", w.put(release.KindBundle, []byte("plain text"))},
		{"bill of materials", w.put(release.KindSBOM, []byte("plain text"))},
		{"bill of materials of another form", w.put(release.KindSBOM, []byte(`{"spdxVersion":"SPDX-2.3"}`))},
	} {
		r := release.Release{Format: release.Format, ID: 7, Product: "lamp", Name: "lamp-fw", Forms: []release.Form{v.form}}
		w.do(anna, 422, "PUT", "/v1/releases/lamp/7", bytes.NewReader(r.JSON()))
	}
	if got := w.do(nobody, 200, "GET", "/healthz", nil); string(got.body) != "ok\n" {
		t.Errorf("got %q", got.body)
	}
	if got := w.do(anna, 200, "GET", "/metrics", nil); !strings.Contains(string(got.body), "station_requests_total{class=\"4xx\"} 6\n") {
		t.Errorf("got %s", got.body)
	}
}
