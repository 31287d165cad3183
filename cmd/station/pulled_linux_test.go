package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"station/internal/flow"
	"station/internal/record"
)

// terminalSlot is a slot whose port is a name that leads to a terminal while a
// device is plugged in.
type terminalSlot struct {
	*trial
	link string
	mu   sync.Mutex // of the chip
}

func (f *floor) terminalSlot(t *testing.T) *terminalSlot {
	t.Helper()
	tr := f.trial(t)
	tr.chip.stop()
	return &terminalSlot{trial: tr, link: filepath.Join(tr.dir, "tty")}
}

// plug plugs the device in, which is in its loader then.
func (s *terminalSlot) plug() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chip = startSim(s.t, s.trial.program("station", "sim", "--listen", "pty", "--state", "chip", "--mac", floorMAC.String(), "--flash-size", "1MB"))
	if err := errors.Join(os.Symlink(s.chip.address, s.link+".new"), os.Rename(s.link+".new", s.link)); err != nil {
		s.t.Error(err)
	}
}

// pull takes the device out, port and all.
func (s *terminalSlot) pull() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chip.kill()
	if err := os.Remove(s.link); err != nil {
		s.t.Error(err)
	}
}

// line is a line of the slot that waits at a moment until do is done, and is told
// to stop by see.
func (s *terminalSlot) line(moment string, do func(), see func(flow.Event, func())) (events []flow.Event, code int) {
	t := s.t
	t.Helper()
	pipe := filepath.Join(s.dir, "moment")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := s.trial.program("interrupted", "--headless", "--job", s.job, "--port", s.link, "--approve", s.approval, "--operator", "anna")
	cmd.Env = append(cmd.Env, fmt.Sprint("INTERRUPT=hold ", slices.Index(s.moments, moment)))
	stuck := time.AfterFunc(2*time.Minute, func() {
		t.Error("the line does not end")
		_ = cmd.Process.Kill()
	})
	defer stuck.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f, err := os.OpenFile(pipe, os.O_WRONLY, 0) // waits for the moment
		if err != nil {
			t.Error(err)
			return
		}
		do()
		f.Close()
	}()
	events, stderr := watchRun(t, cmd, func(e flow.Event) { see(e, func() { _ = cmd.Process.Signal(syscall.SIGTERM) }) })
	if r, err := os.OpenFile(pipe, os.O_RDONLY|unix.O_NONBLOCK, 0); err == nil { // it never came to it
		defer r.Close()
	}
	<-done
	if t.Failed() {
		t.Logf("%s\n%v", stderr, events)
	}
	return events, cmd.ProcessState.ExitCode()
}

// A device is pulled with its port in the middle of something: it is to be put
// back, the line goes on, and makes it when it comes again; pulled while it only
// sits there it is just gone.
func TestPulledTerminal(t *testing.T) {
	f := newFloor(t)
	for _, moment := range []string{"step.started flash", "after the entry burn.intended key", "before the entry burn.settled key", "after the entry burn.intended count", "step.started boot"} {
		t.Run(moment, func(t *testing.T) {
			t.Parallel()
			s := f.terminalSlot(t)
			pulled, removed := make(chan struct{}), 0
			var verdicts []string
			_, code := s.line(moment, func() { s.pull(); close(pulled) }, func(e flow.Event, stop func()) {
				if e.Verdict != "" {
					verdicts = append(verdicts, string(e.Verdict)+" "+string(e.Code))
				}
				switch {
				case e.Event == flow.LineReady:
					s.plug()
				case e.Event == flow.DeviceRemoved && removed == 0:
					removed++
					s.plug()
				case e.Event == flow.DevicePassed:
					s.pull()
				case e.Event == flow.DeviceRemoved:
					removed++
					stop()
				case e.Event == flow.DeviceHand:
					s.chip.press(e)
				}
			})
			<-pulled
			if want := []string{"RETRY E-PORT-GONE", "PASS "}; !slices.Equal(verdicts, want) || code != exitFailed || removed != 2 {
				t.Errorf("verdicts %q, want %q; exit code %d, removed %d times", verdicts, want, code, removed)
			}
			s.whole()
		})
	}
}

// Only the name of the port goes, as udev takes it away for a moment: the device
// that is being made is made, and has gone then.
func TestNameOfAPortGoes(t *testing.T) {
	f := newFloor(t)
	s := f.terminalSlot(t)
	events, code := s.line("step.started flash", func() {
		if err := os.Remove(s.link); err != nil {
			t.Error(err)
		}
	}, func(e flow.Event, stop func()) {
		switch e.Event {
		case flow.LineReady:
			s.plug()
		case flow.DeviceHand:
			s.chip.press(e)
		case flow.DeviceRemoved:
			stop()
		}
	})
	if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Verdict == record.Pass }) || code != exitOK {
		t.Errorf("exit code %d, %v", code, events)
	}
	s.whole()
}

// whole checks that the device is as one that nobody disturbed.
func (s *terminalSlot) whole() {
	s.t.Helper()
	if fuses, flash := s.chipState(); !bytes.Equal(fuses, s.fuses) || !bytes.Equal(flash, s.flash) {
		s.t.Error("fuses or flash are not those of an undisturbed device")
	}
	s.honest()
	var kinds []record.Kind
	for _, e := range s.entries() {
		if e.Kind == record.KeyAssigned || e.Kind == record.Sealed {
			kinds = append(kinds, e.Kind)
		}
	}
	if !slices.Equal(kinds, []record.Kind{record.KeyAssigned, record.Sealed}) {
		s.t.Errorf("the ledger has %v for the device", kinds)
	}
}
