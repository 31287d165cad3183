package board

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

var morning = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return morning.Add(time.Duration(seconds * float64(time.Second)))
}

func folded(events ...flow.Event) *Status {
	s := &Status{}
	for _, e := range events {
		s.Apply(e)
	}
	return s
}

var (
	macA = chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}
	macB = chip.MAC{0x24, 0x0a, 0xc4, 9, 9, 9}
)

func TestStatusFollowsADevice(t *testing.T) {
	s := folded(
		flow.Event{Time: at(0), Event: flow.LineReady, Job: "thermo", Revision: "7", Station: "bench-1", Simulated: true, Target: 50,
			Slots: []string{"1", "2"}, Steps: []flow.StepID{"connect", "flash", "burn-key"}},
		flow.Event{Time: at(1), Event: flow.StepStarted, Slot: "2", Port: "/dev/ttyUSB1", Step: "connect", Message: "Connect"},
		flow.Event{Time: at(2), Event: flow.DeviceSeen, Slot: "2", MAC: macA},
		flow.Event{Time: at(2), Event: flow.StepDone, Slot: "2", Step: "connect", Baud: 921600},
		flow.Event{Time: at(2), Event: flow.StepStarted, Slot: "2", Step: "flash", Message: "Write flash"},
		flow.Event{Time: at(3), Event: flow.StepProgress, Slot: "2", Percent: 10, Bytes: 80_000, Total: 800_000},
		flow.Event{Time: at(4), Event: flow.StepProgress, Slot: "2", Percent: 20, Bytes: 160_000, Total: 800_000},
	)
	if s.Target != 50 || !s.Simulated || s.Station != "bench-1" || len(s.Steps) != 3 {
		t.Errorf("line: got %+v", s)
	}
	if s.Slots[0].Name != "1" || s.Slots[1].Name != "2" {
		t.Fatalf("slots are out of order: %v, %v", s.Slots[0].Name, s.Slots[1].Name)
	}
	d := s.Slots[1]
	if !d.Busy || d.MAC != macA || d.Port != "/dev/ttyUSB1" || d.Baud != 921600 || d.Percent != 20 || d.Held {
		t.Errorf("slot while it writes: got %+v", d)
	}
	if d.Rate < 79_999 || d.Rate > 80_001 || d.Left(at(4)) != 8*time.Second || d.Left(at(5)) != 7*time.Second || d.Left(at(60)) != time.Second {
		t.Errorf("got %v bytes/s and %v left, want 80000 and 8s", d.Rate, d.Left(at(4)))
	}

	s.Apply(flow.Event{Time: at(10), Event: flow.StepDone, Slot: "2", Step: "flash", Retries: 2})
	s.Apply(flow.Event{Time: at(10), Event: flow.StepStarted, Slot: "2", Step: "burn-key", Burning: true})
	s.Apply(flow.Event{Time: at(11), Event: flow.StepDone, Slot: "2", Step: "burn-key"})
	s.Apply(flow.Event{Time: at(11), Event: flow.StepStarted, Slot: "2", Step: "boot"})
	if busy, held := s.Busy(); busy != 1 || held != 1 || d.Burning {
		t.Errorf("after the first burn: got %d busy, %d held, burning %t; want 1, 1, false", busy, held, d.Burning)
	}
	s.Apply(flow.Event{Time: at(12), Event: flow.DevicePassed, Slot: "2", Verdict: record.Pass, Seconds: 11})
	if d.Busy || d.Held || d.Verdict != record.Pass || d.Retries != 2 || d.Visits != 1 || d.Passed != 1 {
		t.Errorf("after the verdict: got %+v", d)
	}
	if s.Counts.Passed != 1 || s.Now != at(12) {
		t.Errorf("got counts %+v at %v", s.Counts, s.Now)
	}
	if steps := len(d.Log); steps != 9 {
		t.Errorf("the log has %d events, want 9: progress stays out", steps)
	}
}

func TestStatusOfAHaltedLine(t *testing.T) {
	s := folded(flow.Event{Time: at(0), Event: flow.LineReady}, flow.Event{Time: at(1), Event: flow.LineHalted, Code: "E-HSM-AWAY", Message: "The key token is not there."})
	if s.Halt == nil || s.Halt.Code != "E-HSM-AWAY" {
		t.Errorf("halted: got %v", s.Halt)
	}
	if s.Apply(flow.Event{Time: at(2), Event: flow.LineResumed}); s.Halt != nil {
		t.Errorf("resumed: got %v", s.Halt)
	}
}

// The last result stands until the next device, and nothing of it is left then.
func TestStatusKeepsTheLastResult(t *testing.T) {
	s := folded(
		flow.Event{Time: at(1), Event: flow.StepStarted, Slot: "1", Step: "connect"},
		flow.Event{Time: at(2), Event: flow.DeviceSeen, Slot: "1", MAC: macA, Serial: "A1"},
		flow.Event{Time: at(3), Event: flow.DeviceFailed, Slot: "1", Verdict: record.Retry, Code: "E-DEAF", Message: "The device talks."},
		flow.Event{Time: at(4), Event: flow.DeviceRemoved, Slot: "1"},
	)
	d := s.Slots[0]
	if d.Verdict != record.Retry || !d.Removed || d.Code != "E-DEAF" || d.Serial != "A1" {
		t.Errorf("after the removal: got %+v", d)
	}
	s.Apply(flow.Event{Time: at(5), Event: flow.StepStarted, Slot: "1", Step: "connect"})
	if d.Verdict != "" || d.Removed || !d.MAC.IsZero() || d.Serial != "" || d.Tried != 1 || len(d.Log) != 1 {
		t.Errorf("at the next device: got %+v", d)
	}
}

// A port that cannot be opened gives a verdict without a step.
func TestStatusVerdictWithoutDevice(t *testing.T) {
	s := folded(
		flow.Event{Time: at(1), Event: flow.StepStarted, Slot: "1", Step: "connect"},
		flow.Event{Time: at(3), Event: flow.DevicePassed, Slot: "1", MAC: macA, Verdict: record.Pass},
		flow.Event{Time: at(4), Event: flow.DeviceFailed, Slot: "1", Step: "connect", Verdict: record.Station, Code: "E-PORT-BUSY"},
	)
	if d := s.Slots[0]; !d.MAC.IsZero() || d.Verdict != record.Station || d.Busy {
		t.Errorf("got %+v, want a STATION verdict without a MAC", d)
	}
}

func TestSlotRemembersTenVisits(t *testing.T) {
	s := &Status{}
	for i := range 13 {
		s.Apply(flow.Event{Time: at(float64(i)), Event: flow.DeviceFailed, Slot: "1", Verdict: record.Retry, Code: flow.Code(fmt.Sprint(i))})
	}
	d := s.Slots[0]
	if len(d.Recent) != 10 || d.Recent[0].Code != "3" || d.Recent[9].Code != "12" || d.Tried != 13 {
		t.Errorf("got %d visits from %s to %s of %d", len(d.Recent), d.Recent[0].Code, d.Recent[9].Code, d.Tried)
	}
}

func TestHints(t *testing.T) {
	visits := func(codes ...string) []record.Visit {
		var out []record.Visit
		for _, c := range codes {
			switch c {
			case "pass":
				out = append(out, record.Visit{Verdict: record.Pass})
			case "pass, blocks repeated":
				out = append(out, record.Visit{Verdict: record.Pass, Retries: 3})
			default:
				out = append(out, record.Visit{Verdict: flow.FailureOf(flow.Code(c)).Verdict, Code: flow.Code(c)})
			}
		}
		return out
	}
	for _, c := range []struct {
		recent []record.Visit
		want   Hint
	}{
		{nil, Hint{}},
		{visits("pass", "E-NO-ANSWER", "pass", "E-DEAF"), Hint{}},
		{visits("pass", "E-NO-ANSWER", "pass", "E-DEAF", "E-BOOT-MODE", "pass"), Hint{CheckContacts, 3, 6}},
		{visits("E-BROWNOUT", "pass"), Hint{}},
		{visits("E-BROWNOUT", "pass", "E-BROWNOUT"), Hint{CheckSupply, 2, 3}},
		{visits("E-FLASH-VERIFY", "pass, blocks repeated", "pass", "E-BAUD"), Hint{CheckCable, 3, 4}},
		{visits("E-FOREIGN-KEY", "E-FOREIGN-KEY", "E-FUSE-WRONG", "E-HSM", "E-STOPPED", "E-STOPPED", "E-STOPPED"), Hint{}},
	} {
		got, ok := (&SlotStatus{Recent: c.recent}).Hint()
		if got != c.want || ok != (c.want != Hint{}) {
			t.Errorf("%+v: got %+v, want %+v", c.recent, got, c.want)
		}
	}
}

// The codes that hints speak of are in the table of failures.
func TestHintCodesExist(t *testing.T) {
	for code := range wireCodes {
		if !slices.ContainsFunc(flow.Failures, func(k flow.FailureKind) bool { return k.Code == code }) {
			t.Errorf("%s is not in the table of failures", code)
		}
	}
}

// That a device has no label is told after it has passed, and changes no count.
// When it is told late, the slot has the next device, and that one has no fault.
func TestStatusOfAMissingLabel(t *testing.T) {
	kind := flow.FailureOf(flow.LabelMissing)
	passed := flow.Event{Time: at(9), Event: flow.DevicePassed, Slot: "1", MAC: macA, Verdict: record.Pass}
	missing := flow.Event{Time: at(10), Event: flow.LabelFailed, Slot: "1", MAC: macA, Code: kind.Code, Message: kind.Sentence, Action: kind.Action, Detail: "out of paper"}
	s := folded(passed, missing)
	slot := s.Slot("1")
	if slot.Verdict != record.Pass || slot.Code != "E-LABEL" || slot.Detail != "out of paper" || slot.Action != kind.Action || slot.Busy {
		t.Errorf("got %+v", slot)
	}
	if s.Counts != (flow.Counts{Passed: 1}) || slot.Tried != 1 || len(slot.Recent) != 1 {
		t.Errorf("counted %+v, %+v", s.Counts, slot)
	}
	next := flow.Event{Time: at(9.5), Event: flow.StepStarted, Slot: "1", MAC: macB, Step: "connect"}
	if slot = folded(passed, next, missing).Slot("1"); slot.Code != "" || slot.MAC != macB || !slot.Busy {
		t.Errorf("the next device: got %+v", slot)
	}
}
