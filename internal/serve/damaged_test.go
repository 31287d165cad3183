package serve

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"station/internal/release"
	"station/internal/store"
)

// No way of uploading takes a release whose number is out of bounds; the highest number
// allowed is taken.
func TestNumberOfReleaseIsBounded(t *testing.T) {
	w := newSite(t, 1)
	form := w.put(release.KindOther, []byte("swu"))
	for id, status := range map[string]int{"0": 422, "-1": 422, "1000000000": 422, "9223372036854775807": 422, "999999999": 204} {
		r := release.Release{Format: release.Format, ID: 0, Product: "lamp", Name: "lamp-fw", Forms: []release.Form{form}}
		body := strings.Replace(string(r.JSON()), `"id": 0`, `"id": `+id, 1)
		if got := w.do(anna, status, "PUT", "/v1/releases/lamp/"+id, strings.NewReader(body)); status == 422 && !strings.Contains(string(got.body), "from 1 to 999999999") {
			t.Errorf("%s: got %s", id, got.body)
		}
	}
}

// A damaged record affects only itself: other releases are offered and listed, the log
// names the damaged file, and no file that its release could have is swept.
func TestDamagedRecord(t *testing.T) {
	w := newSite(t, 1)
	app := w.put(release.KindApp, []byte("app"))
	w.release(7, "1.2.0", 100, nil, app)
	w.release(8, "1.3.0", 100, nil, app)
	roll, doc, begun := release.RolloutKey("lamp", 8), release.Key("lamp", -9223372036854775808), release.Key("lamp", 9)
	orphan := store.Digest(w.put(release.KindApp, []byte("orphan")).SHA256)
	_, revision, err := w.store.Get(roll)
	if err != nil {
		t.Fatal(err)
	}
	r := release.Release{Format: release.Format, ID: -9223372036854775808, Product: "lamp", Name: "lamp-fw", Forms: []release.Form{app}}
	for key, v := range map[string]struct {
		data     []byte
		revision uint64
	}{roll: {[]byte("{"), revision}, doc: {r.JSON(), 0}} {
		if _, err := w.store.Set(key, v.data, v.revision); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(strings.TrimSuffix(w.store.Path(begun, 1), "/1"), 0o750); err != nil { // the power went before its document
		t.Fatal(err)
	}
	if got := w.do(device(w.devices[0]), http.StatusOK, "GET", "/files/lamp/app.bin", nil); got.Header.Get("Station-Release") != "7" {
		t.Errorf("it gets %v", got.Header)
	}
	var list []release.Release
	got := w.do(anna, http.StatusOK, "GET", "/v1/releases/lamp", nil)
	if err := json.Unmarshal(got.body, &list); err != nil || len(list) != 2 || list[0].ID != 8 || list[1].ID != 7 {
		t.Errorf("listed: %s, %v", got.body, err)
	}
	if err := w.server.sweep(time.Now().Add(2 * keepFor)); err != nil || !w.store.Has(orphan) {
		t.Errorf("a file went that the damaged release could have: %v", err)
	}
	if err := w.stop(); err != nil { // the log is whole now
		t.Fatal(err)
	}
	for _, path := range []string{w.store.Path(roll, revision+1), w.store.Path(doc, 1)} {
		if !bytes.Contains(w.access.Bytes(), []byte(path+": ")) || !bytes.Contains(w.access.Bytes(), []byte("bring its folder back from a backup, or move it out of the store")) {
			t.Errorf("nobody is told of %s:\n%s", path, w.access)
		}
	}
}
