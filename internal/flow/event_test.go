package flow

import (
	"encoding/json"
	"testing"

	"station/internal/record"
)

// The counts of a line say how many of the devices that passed it sealed itself,
// and are read again as they were.
func TestCountsTellWhoWasSealed(t *testing.T) {
	var c Counts
	for _, already := range []bool{false, true, false} {
		c.Add(record.Pass, already)
	}
	c.Add(record.Retry, false)
	said, err := json.Marshal(Event{Event: LineDone, Counts: &c})
	if err != nil {
		t.Fatal(err)
	}
	var told struct{ Counts map[string]int }
	if err := json.Unmarshal(said, &told); err != nil {
		t.Fatal(err)
	}
	if got := told.Counts; got["sealed"] != 2 || got["already"] != 1 || got["passed"] != 3 || got["retry"] != 1 {
		t.Errorf("got %s", said)
	}
	var again Event
	if err := json.Unmarshal(said, &again); err != nil || *again.Counts != c {
		t.Errorf("read again: %+v, %v", again.Counts, err)
	}
}
