package report

import (
	"slices"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// movedEntry is the entry by which a device comes from another ledger.
func movedEntry(t *testing.T, from *line, m chip.MAC) record.Entry {
	t.Helper()
	signed, err := from.l.Checkpoint(newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := from.l.ProveUnder(signed, m)
	if err != nil {
		t.Fatal(err)
	}
	file, err := p.File()
	if err != nil {
		t.Fatal(err)
	}
	return record.Entry{Kind: record.Moved, MAC: m, Batch: "b1", Job: "lamp", JobHash: sha(4), Run: "moved", Slot: "1", About: ledger.MoveOf("bench-1", file)}
}

// A device that moved counts once, as that of the bench to which it moved, finished or not;
// it needs no second number of the batch, and both accounts balance.
func TestMovedDeviceCountsOnce(t *testing.T) {
	a, b := opened(t, false, 2), opened(t, false, 0)
	a.do(visit{n: 1, slot: "1", batch: "b1"})
	a.do(visit{n: 2, slot: "1", batch: "b1", end: "RETRY E-BOOT"})
	moved := movedEntry(t, a, mac(2))
	b.now = a.now.Add(time.Hour)
	b.add(record.Entry{Kind: record.DeviceSeen, MAC: mac(2), Batch: "b1", Job: "lamp", JobHash: sha(4), Run: "moved", Slot: "1"}, moved)
	benches := func() []Bench {
		return []Bench{{Name: "bench-1", Head: headOf(t, a.l)}, {Name: "bench-2", Head: headOf(t, b.l)}}
	}
	moves := []string{mac(2).String() + " from bench-1 to bench-2"}
	s, err := SiteBalance("plant-1", "b1", benches())
	if err != nil || s.Started != 2 || s.Passed != 1 || s.Unfinished != 1 || !slices.Equal(s.Moved, moves) {
		t.Errorf("begun: %+v, %v", s, err)
	}
	moved.Kind, moved.About, moved.Verdict = record.Sealed, nil, record.Pass
	b.add(moved)
	if got := balanceOf(t, b, "b1"); got.Passed != 1 || got.Joined != 1 || got.Numbers != 0 || !got.Balanced() {
		t.Errorf("the bench that finished it: %+v", got)
	}
	s, err = SiteBalance("plant-1", "b1", benches())
	if err != nil || s.Started != 2 || s.Passed != 2 || s.Unfinished != 0 || s.Numbers != 2 || !slices.Equal(s.Moved, moves) || !s.Balanced() {
		t.Errorf("sealed: %+v, %v", s, err)
	}
	list, err := b.l.History(mac(2))
	if err != nil || !keyed(list) {
		t.Errorf("it has no key: %v", err)
	}
	burned := map[BurnCount]int{}
	newDeviceLine(list, 1000, burned)
	if own, err := a.l.History(mac(2)); err != nil || len(burned) == 0 && slices.ContainsFunc(own, func(e record.Entry) bool { return e.Kind == record.BurnSettled }) {
		t.Errorf("what was burned before it moved is not counted: %v", err)
	}
}
