package ledger

import (
	"errors"
	"testing"

	"station/internal/record"
)

func leaseOf(turn, first, count int) record.Entry {
	return record.Entry{Kind: record.NumbersLeased, Batch: "b1", About: record.AboutOf(record.Lease{Turn: turn, Numbers: record.Numbers{First: first, Count: count}})}
}

func returned(list ...record.Numbers) record.Entry {
	return record.Entry{Kind: record.NumbersReturned, Batch: "b1", About: record.AboutOf(record.Returned{Blocks: list})}
}

// Where numbers are leased a device gets one of them, in their order, and none behind
// them. A bench takes none that it has given back.
func TestLeasedNumbers(t *testing.T) {
	l := start(t, bench)
	add(t, l, record.Entry{Kind: record.BatchOpened, Batch: "b1", Operator: "anna", Quota: 9}, leaseOf(1, 41, 2))
	want := func(n, site int) {
		t.Helper()
		e := record.Entry{MAC: mac(n), Batch: "b1"}
		if got, err := l.Reserve(e); site == 0 && !errors.Is(err, record.ErrNumbers) || site > 0 && err != nil {
			t.Fatalf("device %d: number %d, %v", n, got, err)
		}
		if list, err := l.History(mac(n)); site > 0 {
			got, readErr := record.ReadAbout[record.Numbered](list[0])
			if err = errors.Join(err, readErr); err != nil || got.Site != site || list[0].Number != n {
				t.Errorf("device %d: number %d of the site, %d of the bench, %v; want %d", n, got.Site, list[0].Number, err, site)
			}
		}
	}
	want(1, 41)
	add(t, l, leaseOf(2, 7, 1))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = reopen(t, l.Path(), bench)
	for name, e := range map[string]record.Entry{
		"a third block":              leaseOf(3, 50, 1),
		"a lease that was before":    leaseOf(2, 50, 1),
		"numbers that are not there": returned(record.Numbers{First: 42, Count: 1}),
		"no lot":                     {Kind: record.NumbersReturned},
		"no numbers":                 {Kind: record.NumbersLeased, Batch: "b2", About: record.AboutOf(record.Lease{Turn: 1})},
		"others were taken before":   {Kind: record.NumbersLeased, Batch: "b2", About: record.AboutOf(record.Lease{Turn: 1, Before: 1, Numbers: record.Numbers{First: 1, Count: 1}})},
	} {
		if _, err := l.Append(e); err == nil {
			t.Errorf("%s: it was taken", name)
		}
	}
	want(2, 42)
	want(3, 7)
	want(4, 0)
	add(t, l, leaseOf(3, 8, 2))
	want(4, 8)
	e := returned(record.Numbers{First: 9, Count: 1})
	e.Operator = "anna"
	if said, err := guestEntry(e); err != nil || string(said.About) != string(e.About) { // "batch return" beside a line
		t.Errorf("a guest's %+v, %v", said, err)
	}
	add(t, l, e)
	want(5, 0)
}
