package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/record"
	field "station/internal/release"
	"station/internal/store"
)

// findsOddApp looks for the device with an app that its line filled up before it was encrypted, as
// one has to be that is signed for secure boot 1: by the app's file, by the digests of the file and of what
// the line wrote, and by a vulnerability in a release of it.
func (w *workplace) findsOddApp(mac string) {
	w.t.Helper()
	app := w.read("v1/app.bin")
	if len(app)%16 == 0 {
		w.t.Fatalf("the app has %d bytes", len(app))
	}
	w.write("bill.json", `{"bomFormat":"CycloneDX","components":[{"bom-ref":"x","name":"lwip","version":"2.1.3"}],"vulnerabilities":[{"id":"CVE-2025-9","affects":[{"ref":"x"}]}]}`)
	add := []string{"release", "add", "v1/app.bin", "--product", "station-example", "--job", "example/job.toml", "--sbom", "bill.json", "--id", "7", "--operator", "anna"}
	first, _ := w.run(0, add...)
	for _, by := range [][]string{{"--firmware", "v1/app.bin"}, {"--firmware", fmt.Sprintf("sha256:%x", sha256.Sum256(app))}, {"--firmware", "v1/bootloader.bin"},
		{"--firmware", fmt.Sprintf("sha256:%X", sha256.Sum256(app))},
		{"--cve", "CVE-2025-9"}, {"--firmware", fmt.Sprintf("sha256:%x", sha256.Sum256(append(app, strings.Repeat("\xff", 32-len(app)%32)...)))}} {
		out, _ := w.run(0, append([]string{"affected"}, by...)...)
		if strings.Count(out, "\n") != 2 || !strings.Contains(out, mac) {
			w.t.Errorf("the devices of %q:\n%s", by, out)
		}
	}
	// A program before this one did not note what the app is filled up: the same once more does.
	s, err := store.Open(filepath.Join(w.dir, "releases"))
	if err != nil {
		w.t.Fatal(err)
	}
	doc, revision, err := field.Load(s, "station-example", 7)
	if err != nil || doc.AppFilled == "" || doc.AppFilled != field.FilledDigest(app) {
		w.t.Fatalf("%+v, %v", doc, err)
	}
	filled := doc.AppFilled
	doc.AppFilled = ""
	if _, err := s.Set(field.Key("station-example", 7), doc.JSON(), revision); err != nil {
		w.t.Fatal(err)
	}
	if again, _ := w.run(0, add...); again != first {
		w.t.Errorf("once more it is another one:\n%s\n%s", first, again)
	}
	if doc, _, err = field.Load(s, "station-example", 7); err != nil || doc.AppFilled != filled {
		w.t.Errorf("completed to %+v, %v", doc, err)
	}
}

// findsInOldLedger looks through a ledger of entries of version 2, which name an app as it was written: for
// the app's file, and for its digest, once a release that an older program made is in the store.
func (w *workplace) findsInOldLedger() {
	w.t.Helper()
	for name, from := range map[string]string{"old.db": "../../fixtures/ledger/v2/ledger.db", "small.bin": "../../fixtures/small/app.bin"} {
		data, err := os.ReadFile(from)
		if err != nil {
			w.t.Fatal(err)
		}
		w.write(name, string(data))
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(w.read("small.bin")))
	found := func(want int, by ...string) {
		w.t.Helper()
		out, _ := w.run(0, append([]string{"affected", "--ledger", "old.db", "--store", "older"}, by...)...)
		if got := strings.Count(out, "\n26:0a:c4:00:00:"); got != want {
			w.t.Errorf("%q finds %d, want %d:\n%s", by, got, want, out)
		}
	}
	found(2, "--firmware", "small.bin")
	found(0, "--firmware", digest)
	w.run(0, "release", "add", "small.bin", "--product", "station-example", "--job", "example/job.toml", "--store", "older", "--sbom", "bill.json", "--id", "8", "--operator", "anna")
	s, err := store.Open(filepath.Join(w.dir, "older"))
	if err != nil {
		w.t.Fatal(err)
	}
	doc, revision, err := field.Load(s, "station-example", 8)
	if err != nil {
		w.t.Fatal(err)
	}
	doc.AppFilled = ""
	if _, err := s.Set(field.Key("station-example", 8), doc.JSON(), revision); err != nil {
		w.t.Fatal(err)
	}
	found(2, "--firmware", digest)
	found(2, "--cve", "CVE-2025-9")
}

// An entry of an older program gets what its app is filled up from the release of that app alone.
func TestEntriesWithFilled(t *testing.T) {
	entries := []record.Field{{Release: 7, App: "a", Input: "a"}, {Release: 8, App: "b", Input: "c"}, {Release: 9, App: "d"}}
	withFilled(entries, []*field.Release{{ID: 7, App: "a", AppFilled: "a+"}, {ID: 8, App: "b", AppFilled: "b+"}, {ID: 9, App: "other", AppFilled: "o+"}})
	var got []string
	for _, f := range entries {
		got = append(got, f.AppFilled+","+f.InputFilled)
	}
	if want := []string{"a+,a+", "b+,", ","}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
