package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"station/internal/flow"
	"station/internal/record"
)

// SIGHUP in the middle of a visit: the line goes on, and a log that was moved
// away is begun anew. No event is lost or written twice.
func TestHangupOpensTheLogAnew(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	path := filepath.Join(tr.dir, "line.jsonl")
	cmd := tr.program("station", append(tr.runCommand(), "--log", path)...)
	var sent flow.Event
	events, stderr := watchRun(t, cmd, func(e flow.Event) {
		if e.Event == flow.StepStarted && e.Step == "flash" {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Error(err)
			}
			_ = cmd.Process.Signal(syscall.SIGHUP)
			sent = e
		}
		tr.attend(e)
	})
	if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Verdict == record.Pass }) {
		t.Fatalf("got %v\n%s", events, stderr)
	}
	before, after := logged(t, path+".1"), logged(t, path)
	if len(before) == 0 || len(after) == 0 || before[0].Event != events[0].Event || after[len(after)-1].Event != events[len(events)-1].Event {
		t.Fatalf("sent at %s %s: %d events before, %d after", sent.Event, sent.Step, len(before), len(after))
	}
	var told []string
	for _, e := range slices.Concat(before, after) {
		told = append(told, e.Event+string(e.Step))
	}
	var said []string
	for _, e := range events {
		said = append(said, e.Event+string(e.Step))
	}
	if !slices.Equal(told, said) {
		t.Errorf("the logs tell\n%s\nstandard output\n%s", strings.Join(told, " "), strings.Join(said, " "))
	}
}

func logged(t *testing.T, path string) (events []flow.Event) {
	data, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
	}
	for line := range bytes.Lines(data) {
		var e flow.Event
		if err := json.Unmarshal(line, &e); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		events = append(events, e)
	}
	return events
}
