package board

import (
	"testing"

	"station/internal/flow"
	"station/internal/record"
)

// A virtual chip at a real station is told as one and counts in nothing; at a
// station of virtual chips they are what counts.
func TestVirtualChipsCountForNothingReal(t *testing.T) {
	visit := func(simulated bool) []flow.Event {
		return []flow.Event{
			{Time: at(1), Event: flow.StepStarted, Slot: "1", Step: "connect"},
			{Time: at(2), Event: flow.DeviceSeen, Slot: "1", MAC: macA, Simulated: simulated},
			{Time: at(3), Event: flow.DevicePassed, Slot: "1", MAC: macA, Verdict: record.Pass, Simulated: simulated},
		}
	}
	entries := func(simulated bool) []record.Entry {
		return []record.Entry{{Kind: record.DeviceSeen, Time: at(1), Run: "a", MAC: macA, Simulated: simulated},
			{Kind: record.Sealed, Time: at(3), Run: "a", MAC: macA, Simulated: simulated}}
	}
	for name, c := range map[string]struct{ line, chip, virtual bool }{
		"real line, real chip":    {},
		"real line, virtual chip": {chip: true, virtual: true},
		"rehearsal":               {line: true, chip: true},
	} {
		s := folded(append([]flow.Event{{Time: at(0), Event: flow.LineReady, Slots: []string{"1"}, Simulated: c.line}}, visit(c.chip)...)...)
		day := Day{Simulated: c.line}
		for _, e := range entries(c.chip) {
			day.Record(e)
		}
		want := 1
		if c.virtual {
			want = 0
		}
		if s.Day.Virtual != 1-want || day.Virtual != 1-want {
			t.Errorf("%s: %d virtual chips, from the ledger %d", name, s.Day.Virtual, day.Virtual)
		}
		slot := s.Slots[0]
		if slot.Virtual != c.virtual || slot.Passed != want || slot.Tried != want || s.Day.Counts.Passed != want || s.Day.Devices != want {
			t.Errorf("%s: virtual %t, slot %d of %d passed, day %+v", name, slot.Virtual, slot.Passed, slot.Tried, s.Day.Counts)
		}
		if day.Counts.Passed != want || day.Devices != want {
			t.Errorf("%s: from the ledger: %+v", name, day.Counts)
		}
		s.Apply(flow.Event{Time: at(9), Event: flow.StepStarted, Slot: "1", Step: "connect"})
		if slot.Virtual {
			t.Errorf("%s: the next device is called virtual", name)
		}
	}
}
