package flow_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// line is a line of virtual slots at this station.
func (s *bench) line(v *station.Virtual) *flow.Line {
	l := &flow.Line{Runner: *s.Runner(), Slots: v.FlowSlots()}
	l.Serials = flow.NewSerials(s.Job, s.Ledger.SerialOwner)
	return l
}

const withSerial = "\n[serial]\npattern = \"SN[0-9]{4}\"\n\n[boot]"

// A serial number is scanned before or after a device is plugged in, is held
// against the job's pattern and the ledger, and stays with its device.
func TestSerialNumbers(t *testing.T) {
	s := newBench(t, flowtest.EditJob(t, "\n[boot]", withSerial))
	v := &station.Virtual{Slots: 1, Count: 2}
	l := s.line(v)
	if err := l.Serials.Scan("", "nonsense"); !errors.Is(err, flow.ErrSerial) || strings.Contains(err.Error(), "[0-9]") { // the pattern is for engineers
		t.Errorf("a wrong serial: %v", err)
	}
	if err := l.Serials.Scan("", "SN0007"); err != nil {
		t.Fatal(err)
	}
	if err := l.Serials.Scan("", "SN0001"); !errors.Is(err, flow.ErrSerial) {
		t.Errorf("a scan beside the one that waits: %v", err)
	}
	if err := l.Serials.Scan("1", "SN0001"); !errors.Is(err, flow.ErrSerial) {
		t.Errorf("a slot that does not ask: %v", err)
	}
	l.Serials.TakeBack()
	if err := l.Serials.Scan("", "SN0007"); err != nil {
		t.Errorf("another than the one that waited was taken back: %v", err)
	}
	l.Serials.TakeBack()
	if err := l.Serials.Scan("", "SN0001"); err != nil {
		t.Fatal(err)
	}
	emit := l.Emit
	l.Emit = func(e flow.Event) {
		emit(e)
		if e.Event == flow.StepStarted && e.Step == "bind" && e.MAC == station.VirtualMAC(1) {
			go func() { // the operator, after a wrong one
				if err := l.Serials.Scan(e.Slot, "SN0001"); !errors.Is(err, flow.ErrSerial) {
					t.Errorf("a serial twice: %v", err)
				}
				for l.Serials.Scan(e.Slot, "SN0002") != nil {
					time.Sleep(time.Millisecond)
				}
			}()
		}
	}
	if c := l.Run(t.Context()); c.Passed != 2 {
		t.Fatalf("%+v", c)
	}
	for n, want := range []string{"SN0001", "SN0002"} {
		d, _, err := s.Ledger.Device(station.VirtualMAC(n))
		if err != nil || d.Serial != want {
			t.Errorf("device %d: serial %q, %v", n, d.Serial, err)
		}
	}
	if err := s.line(v).Serials.Scan("", "SN0002"); err == nil || !strings.Contains(err.Error(), station.VirtualMAC(1).String()) {
		t.Errorf("a serial of the ledger: %v", err)
	}
}

func TestSerialThatNobodyCanScan(t *testing.T) {
	s := newBench(t, flowtest.EditJob(t, "\n[boot]", withSerial))
	flowtest.WantVerdict(t, s.Visit(flowtest.NewChip(t, sim.Options{})), record.Station, "E-SERIAL")
}

// After the retests that the job allows a device is set aside; an engineer's
// release starts the count anew.
func TestRetests(t *testing.T) {
	s := newBench(t, flowtest.EditJob(t, "\n[boot]", "\n[line]\nretests = 1\n\n[boot]"))
	chip := flowtest.NewChip(t, sim.Options{Faults: []sim.Fault{{Kind: sim.MuteApp, Times: -1}}})
	s.Job.Boot.Timeout = job.Duration(300 * time.Millisecond)
	flowtest.WantVerdict(t, s.Visit(chip), record.Retry, "E-BOOT-MARKER")
	flowtest.WantVerdict(t, s.Visit(chip), record.Retry, "E-BOOT-MARKER")
	flowtest.WantVerdict(t, s.Visit(chip), record.Quarantine, "E-RETESTS")
	flowtest.WantVerdict(t, s.Visit(chip), record.Quarantine, "E-SET-ASIDE")
	if _, err := s.Ledger.Append(record.Entry{Kind: record.Released, MAC: chipMAC, Operator: "anna", Message: "new firmware", Simulated: true}); err != nil {
		t.Fatal(err)
	}
	chip.Heal()
	flowtest.WantVerdict(t, s.Visit(chip), record.Pass, "")
}

// A failure holds its slot until somebody has seen it; a pause starts nothing.
func TestPauseAndAcknowledge(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	synctest.Test(t, func(t *testing.T) {
		l := s.line(&station.Virtual{Slots: 1, Count: 2, Chip: func(n int, o *sim.Options) {
			if n == 0 {
				o.Faults = []sim.Fault{{Kind: sim.Brownout, Times: -1}}
			}
		}})
		l.NeedAck = true
		events := make(chan flow.Event, 10000)
		l.Emit = func(e flow.Event) { events <- e }
		done := make(chan flow.Counts)
		l.Pause(true)
		go func() { done <- l.Run(t.Context()) }()
		if e, ok := next(events, time.Hour, flow.StepStarted); ok {
			t.Fatalf("a paused line has begun: %+v", e)
		}
		l.Pause(false)
		if _, ok := next(events, time.Minute, flow.DeviceFailed); !ok {
			t.Fatal("the first device did not fail")
		}
		if e, ok := next(events, time.Hour, flow.StepStarted); ok {
			t.Fatalf("the slot went on before the failure was acknowledged: %+v", e)
		}
		l.Ack("1")
		if _, ok := next(events, time.Minute, flow.DevicePassed); !ok {
			t.Fatal("the second device did not pass")
		}
		if c := <-done; c.Passed != 1 || c.Retry != 1 {
			t.Errorf("%+v", c)
		}
	})
}

// next waits for an event of that name.
func next(events <-chan flow.Event, within time.Duration, name string) (flow.Event, bool) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	for {
		select {
		case e := <-events:
			if e.Event == name {
				return e, true
			}
		case <-ctx.Done():
			return flow.Event{}, false
		}
	}
}
