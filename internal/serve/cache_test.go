package serve

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"station/internal/release"
	"station/internal/store"
)

// counting is a store that counts what is read of it.
type counting struct {
	*store.Store
	reads map[string]int
}

func (c *counting) Get(key string) ([]byte, uint64, error) {
	kind, _, _ := strings.Cut(key, "/")
	c.reads[kind]++
	return c.Store.Get(key)
}

// A poll reads no release and no rollout from the store that has not changed, however
// many there are; it sees at once what another process changes.
func TestPollReadsNoReleases(t *testing.T) {
	w := newSite(t, 1)
	for id := int64(1); id <= 20; id++ {
		w.release(id, "1.2.0", 100, nil, w.put(release.KindApp, []byte{byte(id)}))
	}
	reads := &counting{w.store, map[string]int{}}
	w.server.Store = reads
	me := device(w.devices[0])
	get := func(want byte) {
		t.Helper()
		if got := w.do(me, 200, "GET", "/files/lamp/app.bin", nil); string(got.body) != string(want) {
			t.Errorf("got release %d, want %d", got.body, want)
		}
	}
	get(20)
	get(20) // that it was offered is in the rollout now
	clear(reads.reads)
	get(20)
	if reads.reads["release"] != 0 || reads.reads["rollout"] != 0 || reads.reads["device"] > 1 {
		t.Errorf("a poll reads %v", reads.reads)
	}
	other, err := store.Open(w.store.Dir())
	if err != nil {
		t.Fatal(err)
	}
	doc, revision, err := release.Load(other, "lamp", 20)
	if err != nil {
		t.Fatal(err)
	}
	doc.Withdrawn = "it burns"
	if _, err := other.Set(release.Key("lamp", 20), doc.JSON(), revision); err != nil {
		t.Fatal(err)
	}
	get(19)
	stopped := release.Rollout{Product: "lamp", Release: 19, Percent: 100, State: release.Stopped, Samples: 4, Failures: 50}
	_, revision, err = release.LoadRollout(other, "lamp", 19)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.Set(release.RolloutKey("lamp", 19), stopped.JSON(), revision); err != nil {
		t.Fatal(err)
	}
	get(18)
}

// What is read while another process changes a record, or after that process was killed
// in the middle of it, is not cached.
func TestNothingIsKeptInMidChange(t *testing.T) {
	w := newSite(t, 1)
	for id := int64(1); id <= 2; id++ {
		w.release(id, "1.2.0", 100, nil, w.put(release.KindApp, []byte{byte(id)}))
	}
	path := filepath.Join(w.store.Dir(), "generations", "release")
	begun := binary.BigEndian.AppendUint64(nil, 1001) // odd
	died := func() {
		t.Helper()
		if err := os.WriteFile(path, begun, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	get := func(want byte) {
		t.Helper()
		if got := w.do(device(w.devices[0]), 200, "GET", "/files/lamp/app.bin", nil); string(got.body) != string(want) {
			t.Errorf("got release %d, want %d", got.body, want)
		}
	}
	died()
	get(2)
	doc, revision, err := release.Load(w.store, "lamp", 2)
	if err != nil {
		t.Fatal(err)
	}
	doc.Withdrawn = "it burns"
	if _, err := w.store.Set(release.Key("lamp", 2), doc.JSON(), revision); err != nil {
		t.Fatal(err)
	}
	died() // after the record was there, before he told
	get(1)
}

func TestShort(t *testing.T) {
	for _, rune := range []string{"a", "é", "灯", "🔥"} {
		for pad := range 4 {
			text := strings.Repeat("x", pad) + strings.Repeat(rune, 600)
			got := short(text)
			if !utf8.ValidString(got) || len(got) > 500+len("…") || len(got) < 497+len("…") || !strings.HasPrefix(text, strings.TrimSuffix(got, "…")) {
				t.Errorf("%q: got %d bytes, valid %t", text[:10], len(got), utf8.ValidString(got))
			}
		}
	}
	if got := short("fine"); got != "fine" {
		t.Errorf("got %q", got)
	}
}
