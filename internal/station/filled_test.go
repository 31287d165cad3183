package station

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/release"
	"station/internal/sim"
	"station/internal/store"
)

// An app of an odd length, as secure boot 1 makes them, is filled up for the cipher. The device is
// found by the file that its author has, and by the release of that, which it is not offered. A device
// of an entry before version 3, which names the filled app alone, is found where a release tells of it.
func TestOddAppIsFound(t *testing.T) {
	s := flowtest.New(t, tokenKeys, flowtest.BootJobFile(t, 1))
	made, older := chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 4}
	flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, sim.Options{MAC: made, Revision: 1})), record.Pass, "")
	app := flowtest.BootFile(t, "app.v1.bin")
	file, filled := digestOf(app), digestOf(firmware.Filled(app))
	if len(app)%16 == 0 || release.FilledDigest(app) != filled {
		t.Fatalf("an app of %d bytes", len(app))
	}
	d, _, err := s.Ledger.Device(made)
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(d.Images, func(i record.Image) bool { return i.Slot != "" })
	if i := d.Images[at]; i.File != file || i.Plain != filled {
		t.Fatalf("the ledger has %+v, want file %s, plain %s", i, file, filled)
	}
	for n, i := range d.Images {
		region := s.Job.Regions[n]
		if want := region.FileSHA256; i.Plain == want && i.File != "" || i.Plain != want && i.File != want {
			t.Errorf("%s: its file is %q, want %q", i.Name, i.File, want)
		}
	}
	r := &release.Release{ID: 7, Product: d.Job, Name: "lamp", App: file, AppFilled: filled, Forms: []release.Form{{Kind: release.KindApp}}}
	sealedOlder(s, older, d.Images[at])
	o, _, err := s.Ledger.Device(older)
	if err != nil {
		t.Fatal(err)
	}
	for _, dev := range []record.Device{d, o} {
		if why := r.Misfit(release.Of(dev)); why != "the device was sealed with it" {
			t.Errorf("%s: %q", dev.MAC, why)
		}
	}
	if v := release.Of(o).Told([]*release.Release{r}); len(v.Unsure) != 0 {
		t.Errorf("the release does not tell the secure version of %q", v.Unsure)
	}
	bare := &release.Release{ID: 7, App: file}
	one, both := []chip.MAC{made}, []chip.MAC{made, older}
	for name, c := range map[string]struct {
		by   Wanted
		want []chip.MAC
	}{
		"by the file":                      {Wanted{Firmware: []string{file}}, both}, // an entry of now tells what the file is filled up
		"by what the line wrote":           {Wanted{Firmware: []string{filled}}, both},
		"by a release":                     {Wanted{Any: []*release.Release{r}}, both},
		"by a release of an older program": {Wanted{Any: []*release.Release{bare}}, both},
		"by the bootloader's file":         {Wanted{Firmware: []string{digestOf(flowtest.BootFile(t, "bootloader.v1.bin"))}}, one},
		"by what no image is":              {Wanted{Firmware: []string{digestOf(app[1:])}}, nil},
		"by a release of another app":      {Wanted{Any: []*release.Release{{ID: 8, App: digestOf(app[1:])}}}, nil},
	} {
		affects(s, name, c.by, c.want)
	}
	s.OpenLedger() // one of old entries alone
	sealedOlder(s, older, d.Images[at])
	affects(s, "old entries, by the file", Wanted{Firmware: []string{file}}, nil)
	affects(s, "old entries, by a release that tells both", Wanted{Any: []*release.Release{r}}, []chip.MAC{older})
	affects(s, "old entries, by the file of a known release", Wanted{Firmware: []string{file}, Known: []*release.Release{r}}, []chip.MAC{older})
	about, err := json.Marshal(record.Field{Release: 7, App: "sha256:signed", Input: file, InputFilled: filled})
	if _, bad := s.Ledger.Append(record.Entry{Kind: record.ReleaseMade, About: about, Operator: "anna", Simulated: true}); err != nil || bad != nil {
		t.Fatal(err, bad)
	}
	affects(s, "old entries, by the file of a release in the log", Wanted{Firmware: []string{file}}, []chip.MAC{older})
	affects(s, "old entries, by a release that was signed later", Wanted{Any: []*release.Release{{ID: 7, App: "sha256:signed"}}}, []chip.MAC{older})
}

// sealedOlder enters a sealed device as a program before version 3 did: of its app it says what was
// written, and no more.
func sealedOlder(s *flowtest.Bench, mac chip.MAC, app record.Image) {
	s.T.Helper()
	app.File, app.SecureVersion = "", nil
	const id = "derived:master:0000000000000004"
	for _, e := range []record.Entry{
		{Kind: record.DeviceSeen, Identity: &chip.Identity{MAC: mac}},
		{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "derived"}}},
		{Kind: record.FlashVerified, Keys: record.FlashKey(id), Images: []record.Image{app}},
		{Kind: record.Sealed, Keys: record.FlashKey(id), Verdict: record.Pass},
	} {
		e.MAC, e.Job, e.Batch, e.Operator, e.Simulated = mac, s.Job.Name, "b1", "anna", true
		if _, err := s.Ledger.Append(e); err != nil {
			s.T.Fatal(err)
		}
	}
}

func affects(s *flowtest.Bench, name string, by Wanted, want []chip.MAC) {
	s.T.Helper()
	list, err := FindAffected(by, Book{Ledger: s.Ledger})
	var got []chip.MAC
	for _, a := range list {
		got = append(got, a.MAC)
	}
	if err != nil || !slices.Equal(got, want) {
		s.T.Errorf("%s: got %v, %v, want %v", name, got, err, want)
	}
}

// A release of an older program gets its app's other digest from the store; without the app
// there it stays as it is.
func TestFill(t *testing.T) {
	dir := t.TempDir()
	kept, err := store.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	r := &Releases{Store: kept}
	app := flowtest.BootFile(t, "app.v1.bin")
	path := filepath.Join(dir, "app")
	flowtest.Write(t, path, app)
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	form, err := r.put(release.KindApp, file)
	if err != nil {
		t.Fatal(err)
	}
	doc := &release.Release{App: form.SHA256, Forms: []release.Form{form}}
	for n, want := range []bool{true, false} {
		if filled, err := r.Fill(doc); err != nil || filled != want || doc.AppFilled != release.FilledDigest(app) {
			t.Errorf("time %d: %v, %v, %q", n, filled, err, doc.AppFilled)
		}
	}
	form.SHA256 = digestOf(app[1:])
	gone := &release.Release{App: form.SHA256, Forms: []release.Form{form}}
	if filled, err := r.Fill(gone); err != nil || filled {
		t.Errorf("an app that is gone: %v, %v", filled, err)
	}
}
