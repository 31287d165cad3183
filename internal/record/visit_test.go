package record

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"station/internal/chip"
)

// A visit that never ends is over when the next device is in its slot.
func TestVisitsThatNeverEnd(t *testing.T) {
	begin := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	var got []string
	var f Visits
	count := func(ended []*Visit) {
		for _, v := range ended {
			got = append(got, v.Slot+" "+string(v.Verdict))
		}
	}
	at := func(run, slot string, kind Kind, seconds int) {
		count(f.Add(&Entry{Run: run, Slot: slot, Station: "b", MAC: chip.MAC{1}, Kind: kind, Time: begin.Add(time.Duration(seconds) * time.Second)}))
	}
	at("a", "1", DeviceSeen, 0)
	at("b", "2", DeviceSeen, 1)
	at("c", "1", DeviceSeen, 2)
	at("c", "1", Sealed, 3)
	at("d", "3", DeviceSeen, 4)
	count(f.Add(&Entry{Kind: PlanApproved, Operator: "anna"}))
	count(f.End())
	if want := []string{"1 BEGUN", "1 PASS", "2 BEGUN", "3 BEGUN"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What a visit took is what its last entry says, or runs from the first entry
// of the visit; a visit whose begin is before the log that was read took nobody
// knows how long.
func TestSecondsOfVisits(t *testing.T) {
	begin := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	at := func(seconds int, e Entry) Entry {
		e.Run, e.MAC, e.Time = "a", chip.MAC{1}, begin.Add(time.Duration(seconds)*time.Second)
		return e
	}
	for _, c := range []struct {
		entries []Entry
		want    Visit
	}{
		{[]Entry{at(0, Entry{Kind: DeviceSeen, Step: "connect"}), at(3, Entry{Kind: FlashVerified, Step: "flash"}), at(7, Entry{Kind: Sealed, Step: "seal"})},
			Visit{Begin: begin, End: begin.Add(7 * time.Second), Verdict: Pass, Seconds: 7, Steps: []StepTime{{"flash", 3}, {"seal", 4}}, whole: true}},
		{[]Entry{at(0, Entry{Kind: DeviceSeen}), at(2, Entry{Kind: Failed, Verdict: Retry, Code: "E-DEAF", Seconds: 5})},
			Visit{Begin: begin, End: begin.Add(2 * time.Second), Verdict: Retry, Code: "E-DEAF", Seconds: 5, whole: true}},
		{[]Entry{at(4, Entry{Kind: FlashVerified}), at(9, Entry{Kind: Sealed})},
			Visit{Begin: begin.Add(4 * time.Second), End: begin.Add(9 * time.Second), Verdict: Pass}},
		{[]Entry{at(0, Entry{Kind: DeviceSeen}), at(1, Entry{Kind: Admitted, Decision: DecisionSealed})},
			Visit{Begin: begin, End: begin.Add(time.Second), Verdict: Pass, Already: true, Seconds: 1, whole: true}},
	} {
		var f Visits
		var ended []*Visit
		for _, e := range c.entries {
			ended = append(ended, f.Add(&e)...)
		}
		c.want.MAC, c.want.Run = chip.MAC{1}, "a"
		if len(ended) != 1 || !reflect.DeepEqual(*ended[0], c.want) || f.Open() != 0 {
			t.Errorf("got %+v, want %+v", ended, c.want)
		}
	}
}
