package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/record"
)

// The disk takes nothing any more, from any entry on: no fuse is burned whose
// intent could not be written, nobody reads PASS, and with room again the
// device is finished.
func TestDiskFullAnywhere(t *testing.T) {
	f := newFloor(t)
	for _, i := range momentsOf(f.moments, "before the entry") {
		t.Run(fmt.Sprintf("%03d %s", i, f.moments[i]), func(t *testing.T) {
			t.Parallel()
			tr := f.trial(t)
			events := tr.run(3, fmt.Sprint("full ", i))
			if strings.HasSuffix(f.moments[i], "plan.approved") {
				if len(events) > 0 {
					t.Errorf("a line was begun without an approval: %v", events)
				}
				tr.finish()
				return
			}
			last := slices.IndexFunc(events, func(e flow.Event) bool { return e.Verdict != "" })
			if last < 0 || events[last].Verdict != record.Station || events[last].Code != "E-LEDGER" {
				t.Errorf("got %v, want STATION E-LEDGER", events)
			}
			if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Event == flow.LineHalted && e.Code == "E-LEDGER" }) {
				t.Error("the line is not halted")
			}
			tr.honest()
			if want := f.announcedBefore(i); !slices.Equal(tr.burned(), want) {
				t.Errorf("burned %v, want %v", tr.burned(), want)
			}
			tr.finish()
		})
	}
}

// announcedBefore are the stages whose intent is on disk before the moment.
func (f *floor) announcedBefore(moment int) (list []string) {
	for _, name := range f.moments[:moment] {
		if stage, ok := strings.CutPrefix(name, "after the entry burn.intended "); ok {
			list = append(list, stage)
		}
	}
	return list
}

// The disk is full for a while: the line is halted as long as that lasts, and
// then finishes the device that met it, with no hand on it.
func TestDiskFullForAWhile(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	cmd := tr.program("station", "run", "--headless", "--count", "1", "--job", tr.job, "--port", tr.chip.address, "--approve", tr.approval, "--operator", "anna")
	var story []string
	events, stderr := watchRun(t, cmd, func(e flow.Event) {
		switch {
		case e.Event == flow.StepStarted && e.Step == "flash" && len(story) == 0:
			limitFiles(cmd.Process.Pid, 0)
		case e.Event == flow.LineHalted:
			tr.honest()
			limitFiles(cmd.Process.Pid, -1)
		case e.Event == flow.LineResumed:
			tr.chip.do(t, "loader")
		default:
			tr.attend(e)
		}
		if e.Verdict != "" || e.Event == flow.LineHalted || e.Event == flow.LineResumed {
			story = append(story, strings.TrimSpace(e.Event+" "+e.Code))
		}
	})
	want := []string{"device.failed E-LEDGER", "line.halted E-LEDGER", "line.resumed E-LEDGER", "device.passed"}
	if exit := cmd.ProcessState.ExitCode(); exit != 3 || !slices.Equal(story, want) {
		t.Errorf("exit code %d, %q, want %q\n%s\n%v", exit, story, want, stderr, events)
	}
	tr.finish()
}
