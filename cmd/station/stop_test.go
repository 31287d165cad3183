package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"

	"station/internal/flow"
	"station/internal/racetest"
	"station/internal/record"
)

// A stop at any moment: what can be undone stops at the next command, a burn
// that was begun is finished and read back, the ledger says so, and the device
// goes on when it is put back. A second and a third Ctrl-C change nothing.
func TestStoppedAnywhere(t *testing.T) {
	f := newFloor(t)
	var m matrix
	var cases racetest.Sample
	m.publish(t, "station-stopped")
	stop := func(class string, at int, signals ...syscall.Signal) {
		if m.plan(class, 1); cases.Out(sampleOf) {
			return
		}
		t.Run(fmt.Sprintf("%03d %v %s", at, signals, f.moments[at]), func(t *testing.T) {
			t.Parallel()
			m.count(class, f.stop(t, at, signals...))
		})
	}
	for _, i := range momentsOf(f.moments, "before the entry", "after the entry", "step.", "device.") {
		stop("Ctrl-C, three times, around an entry of the ledger or the begin or end of a step", i, syscall.SIGINT, syscall.SIGINT, syscall.SIGINT)
	}
	for _, i := range momentsOf(f.moments, "step.started flash", "after the entry burn.intended") {
		for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGQUIT} {
			stop("SIGTERM, SIGQUIT while the flash is written or a burn is begun", i, s)
		}
	}
}

// stop sends the signals at a moment of a visit, and tells how it ended.
func (f *floor) stop(t *testing.T, at int, signals ...syscall.Signal) string {
	tr := f.trial(t)
	interrupt := fmt.Sprint("signal ", at)
	for _, s := range signals {
		interrupt += fmt.Sprint(" ", int(s))
	}
	step := f.stepAt(at)
	begun := slices.IndexFunc(f.moments, func(name string) bool { return name == "step.started connect" }) <= at
	switch {
	case !begun:
		if events := tr.run(1, interrupt); slices.ContainsFunc(events, func(e flow.Event) bool { return e.Slot != "" }) {
			t.Errorf("a device was begun: %v", events)
		}
		return "no device begun, exit 1; " + tr.finish()
	case step == "" || step == "seal": // nothing is left to stop
		if events := tr.run(0, interrupt); !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Verdict == record.Pass }) {
			t.Errorf("got %v", events)
		}
		return "PASS, exit 0; " + tr.finish()
	}
	tr.stopped(step, tr.run(1, interrupt))
	return "RETRY E-STOPPED, exit 1; " + tr.finish()
}

// stopped checks a visit that a signal ended in the step.
func (tr *trial) stopped(step string, events []flow.Event) {
	t := tr.t
	t.Helper()
	for _, e := range events {
		if e.Event == flow.StepStarted && slices.Index(stepOrder, string(e.Step)) > slices.Index(stepOrder, step) {
			t.Errorf("step %s was begun after the stop in %s", e.Step, step)
		}
		if e.Verdict != "" && (e.Verdict != record.Retry || e.Code != "E-STOPPED") {
			t.Errorf("got %s %s (%s), want RETRY E-STOPPED", e.Verdict, e.Code, e.Detail)
		}
	}
	list := tr.entries()
	if len(list) == 0 { // before anybody knew who it was
		return
	}
	if e := list[len(list)-1]; e.Kind != record.Failed || e.Code != "E-STOPPED" {
		t.Errorf("the ledger's last entry is %s %s", e.Kind, e.Code)
	}
	open := map[string]bool{}
	for _, e := range list {
		switch e.Kind {
		case record.BurnIntended:
			open[e.Stage] = true
		case record.BurnSettled:
			delete(open, e.Stage)
		}
	}
	if len(open) > 0 {
		t.Errorf("burns were begun and not finished: %v", open)
	}
}

var stepOrder = []string{"connect", "admit", "key", "flash", "burn-key", "burn-crypt", "boot", "lock", "last-boot", "seal"}

// stepAt is the step in which a moment lies; "" outside of any.
func (f *floor) stepAt(moment int) string {
	step := ""
	for _, name := range f.moments[:moment+1] {
		if s, ok := strings.CutPrefix(name, "step.started "); ok {
			step = s
		}
		if strings.HasPrefix(name, "device.passed") || name == "line.done" {
			step = ""
		}
	}
	return step
}
