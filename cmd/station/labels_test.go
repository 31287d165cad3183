package main

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/station"
)

// printTo gives the trial's station a printer.
func (tr *trial) printTo(printer string) {
	tr.t.Helper()
	path := filepath.Join(tr.dir, "station.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		tr.t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(b), "[label]")
	if err := os.WriteFile(path, []byte(text+"[label]\nprinter = \""+printer+"\"\n"), 0o600); err != nil {
		tr.t.Fatal(err)
	}
}

// labels are the prints of the trial's device that the ledger knows.
func (tr *trial) prints() (list []string) {
	tr.t.Helper()
	for _, e := range tr.entries() {
		if e.Kind == record.LabelPrinted {
			list = append(list, e.Decision+" by "+e.Operator+": "+e.Message)
		}
	}
	return list
}

func (tr *trial) wantPrints(want ...string) {
	tr.t.Helper()
	if got := tr.prints(); !slices.Equal(got, want) {
		tr.t.Errorf("the ledger has the prints %q, want %q", got, want)
	}
}

// A device that passes gets its label with no hand on it, and a device that
// comes again no second one.
func TestLinePrintsLabels(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	folder := filepath.Join(tr.dir, "labels")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	tr.printTo("labels")
	tr.run(0, "")
	label, err := os.ReadFile(filepath.Join(folder, "240AC4010203.zpl"))
	if err != nil || !bytes.Contains(label, []byte("MAC=240AC4010203;KEY=derived:station-master:")) || bytes.Contains(label, []byte("SIMULATION")) {
		t.Errorf("got %q, %v", label, err)
	}
	want := "print by anna: zpl to labels"
	tr.wantPrints(want)
	if err := os.Remove(filepath.Join(folder, "240AC4010203.zpl")); err != nil {
		t.Fatal(err)
	}
	events := tr.run(0, "")
	if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Event == flow.DevicePassed && e.Already }) {
		t.Errorf("got %v", events)
	}
	if list, err := os.ReadDir(folder); len(list) > 0 || err != nil {
		t.Errorf("a second label: %v, %v", list, err)
	}
	tr.wantPrints(want)
}

// A printer that fails is told, in the line's events and before it is done. The
// device has passed all the same.
func TestPrinterFails(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	missing := func(events []flow.Event) string {
		t.Helper()
		var told []string
		for _, e := range events {
			if e.Event == flow.DevicePassed || e.Event == flow.LabelFailed || e.Event == flow.LineDone {
				told = append(told, e.Event)
			}
		}
		if want := []string{flow.DevicePassed, flow.LabelFailed, flow.LineDone}; !slices.Equal(told, want) {
			t.Fatalf("told %q, want %q", told, want)
		}
		e := events[slices.IndexFunc(events, func(e flow.Event) bool { return e.Event == flow.LabelFailed })]
		if e.MAC != floorMAC || e.Code != "E-LABEL" || e.Verdict != "" || e.Message == "" || e.Action == "" {
			t.Errorf("told %+v", e)
		}
		return e.Detail
	}
	tr.printTo("lp7") // is switched off
	if detail := missing(tr.run(0, "")); !strings.Contains(detail, "no such file") {
		t.Errorf("got %q", detail)
	}
	tr.wantPrints() // so that it gets its label when it is put back
	if _, err := os.Stat(filepath.Join(tr.dir, "lp7")); err == nil {
		t.Error("a file was made in place of the printer")
	}
	tr.printTo("/dev/full") // is there, and breaks
	if detail := missing(tr.run(0, "")); !strings.Contains(detail, "no space left") {
		t.Errorf("got %q", detail)
	}
	tr.wantPrints("print by anna: zpl to /dev/full")
	tr.command(0, "label", floorMAC.String(), "--operator", "eve", "--reprint", "--out", "by-hand.zpl")
	tr.wantPrints("print by anna: zpl to /dev/full", "reprint by eve: zpl to by-hand.zpl")
}

// The station says before the first device that its printer is not there.
func TestPrinterIsMissedAtTheStart(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	tr.printTo("lp7")
	tr.chip.do(t, "loader")
	events, stderr := watchRun(t, tr.program("station", tr.runCommand()...), tr.attend)
	if !strings.Contains(stderr, "warning: label printer: ") || !strings.Contains(stderr, "lp7: no such file") {
		t.Errorf("standard error: %s", stderr)
	}
	if last := events[len(events)-1]; last.Counts == nil || last.Counts.Passed != 1 {
		t.Errorf("got %+v", last)
	}
}

// A printer is a device, a file that is there, or a folder.
func TestPrinters(t *testing.T) {
	book, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Station: "bench-1", Simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	var macs []chip.MAC
	for n := range byte(4) {
		mac := chip.MAC{0x24, 0x0a, 0xc4, 0, 0, n}
		list := visitEntries(mac, "b1", "")
		for i := range list {
			list[i].Simulated = true
		}
		if _, err := book.AppendAll(list); err != nil {
			t.Fatal(err)
		}
		macs = append(macs, mac)
	}
	roll, folder := filepath.Join(t.TempDir(), "roll"), t.TempDir()
	if err := os.WriteFile(roll, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	to := func(place string, format station.LabelFormat) printer {
		return printer{station.LabelFile{Printer: place, Format: format}}
	}
	for i, p := range []printer{to(roll, "zpl"), to(roll, "zpl"), to(folder, "png"), to("/dev/null", "zpl")} {
		for range 2 { // the second time it has one
			if err := p.print(book, "anna", macs[i]); err != nil {
				t.Errorf("%+v: %v", p, err)
			}
		}
	}
	b, err := os.ReadFile(roll)
	if err != nil || bytes.Count(b, []byte("^XA")) != 2 || bytes.Count(b, []byte("^XZ")) != 2 || !bytes.Contains(b, []byte("SIMULATION")) {
		t.Errorf("the roll: %q, %v", b, err)
	}
	picture, err := os.Open(filepath.Join(folder, "240AC4000002.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer picture.Close()
	if _, err := png.Decode(picture); err != nil {
		t.Error(err)
	}
	if err := to(roll, "png").check(); err == nil || !strings.Contains(err.Error(), "pictures need a folder") {
		t.Errorf("pictures one after the other: got %v", err)
	}
	if err := to(roll, "zpl").print(book, "anna", chip.MAC{9}); err == nil {
		t.Error("a device that is not sealed got a label")
	}
}
