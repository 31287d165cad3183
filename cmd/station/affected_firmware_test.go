package main

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
	"strings"

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
