package main

import (
	"os"
	"path/filepath"
	"testing"

	"station/internal/flow"
	"station/internal/port/porttest"
)

// sealed fails unless one device passed and its fuses hold a key that nothing
// on the host holds.
func (w *workplace) sealed(events []flow.Event, state string) {
	w.t.Helper()
	last := events[len(events)-1]
	if last.Event != flow.LineDone || last.Counts == nil || last.Counts.Passed != 1 {
		w.t.Errorf("last event: %+v", last)
	}
	fuses, err := os.ReadFile(filepath.Join(state, "efuse.bin"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.searchFor(fuses[28:60])
}

// A chip without modem lines on a terminal, served by a program that we did
// not write: sealed by hand through it.
func TestSealThroughSer2net(t *testing.T) {
	w := newWorkplace(t)
	w.manualJob()
	state := t.TempDir()
	c := w.sim("--listen", "pty", "--boot", "--state", state)
	events := w.seal(0, c.press, "--job", "example/job.toml", "--port", porttest.Ser2net(t, c.address),
		"--approve", w.approval(), "--operator", "anna", "--log", "run.jsonl", "--verbose")
	c.stop()
	w.sealed(events, state)
}

// With DTR and RTS at the other end of a network nobody presses a button.
func TestSealOverRFC2217(t *testing.T) {
	w := newWorkplace(t)
	state := t.TempDir()
	c := w.sim("--listen", "rfc2217://127.0.0.1:0", "--state", state)
	events := w.seal(0, nil, "--job", "example/job.toml", "--port", c.address,
		"--approve", w.approval(), "--operator", "anna", "--log", "run.jsonl", "--verbose")
	c.stop()
	w.sealed(events, state)
}
