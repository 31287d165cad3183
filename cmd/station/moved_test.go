package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/flow"
)

// A line whose ledger is taken away from under it halts before the next fuse,
// and goes on when it is back.
func TestLedgerTakenAway(t *testing.T) {
	f := newFloor(t)
	for name, take := range map[string]func(path string) error{
		"removed": func(path string) error { return errors.Join(os.Link(path, path+".kept"), os.Remove(path)) },
		"renamed": func(path string) error { return os.Rename(path, path+".kept") },
		"replaced": func(path string) error {
			b, err := os.ReadFile(path)
			return errors.Join(err, os.Rename(path, path+".kept"), os.WriteFile(path, b, 0o600))
		},
	} {
		for _, step := range []flow.StepID{"key", "flash", "burn-crypt"} {
			t.Run(name+" at "+string(step), func(t *testing.T) {
				tr := f.trial(t)
				path := filepath.Join(tr.dir, "ledger.db")
				tr.withoutLedger(step, func(int) {
					if err := take(path); err != nil {
						t.Error(err)
					}
				}, func(int) {
					if err := os.Rename(path+".kept", path); err != nil {
						t.Error(err)
					}
					tr.honest() // nothing was burned that it does not know of
					tr.chip.do(t, "loader")
				})
			})
		}
	}
}

// withoutLedger runs a line whose ledger cannot be written from the beginning of a
// step on, and gives it back when the line was halted. It finishes the device that met it.
func (tr *trial) withoutLedger(step flow.StepID, take, giveBack func(pid int)) {
	tr.t.Helper()
	cmd := tr.program("station", "run", "--headless", "--count", "1", "--job", tr.job, "--port", tr.chip.address, "--approve", tr.approval, "--operator", "anna")
	var story []string
	events, stderr := watchRun(tr.t, cmd, func(e flow.Event) {
		switch {
		case e.Event == flow.StepStarted && e.Step == step && len(story) == 0:
			take(cmd.Process.Pid)
		case e.Event == flow.LineHalted:
			giveBack(cmd.Process.Pid)
		default:
			tr.attend(e)
		}
		if e.Verdict != "" || e.Event == flow.LineHalted || e.Event == flow.LineResumed {
			story = append(story, strings.TrimSpace(e.Event+" "+string(e.Code)))
		}
	})
	want := []string{"device.failed E-LEDGER", "line.halted E-LEDGER", "line.resumed E-LEDGER", "device.passed"}
	if exit := cmd.ProcessState.ExitCode(); exit != 3 || !slices.Equal(story, want) {
		tr.t.Errorf("exit code %d, %q, want %q\n%s\n%v", exit, story, want, stderr, events)
	}
	tr.finish()
}
