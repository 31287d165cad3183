package page

import (
	"sync"
	"time"

	"station/internal/board"
	"station/internal/site/replica"
)

// days are the benches' days, folded from their ledgers as the site has them.
type days struct {
	mu   sync.Mutex
	byOf map[string]*benchDay
}

type benchDay struct {
	begin time.Time
	size  uint64 // entries that were folded
	day   board.Day
}

// today is the day of a bench, up to what the site has now. Nothing of a bench is not
// the day of a real one.
func (d *days) today(set *replica.Set, bench string, now time.Time) (board.Day, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := set.Ledger(bench)
	if l == nil {
		return board.Day{Simulated: true}, nil
	}
	size, _, err := l.Head()
	if err != nil {
		return board.Day{}, err
	}
	if d.byOf == nil {
		d.byOf = map[string]*benchDay{}
	}
	begin := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	b := d.byOf[bench]
	if b == nil || !b.begin.Equal(begin) || b.size > size {
		b = &benchDay{begin: begin, day: board.Day{Simulated: l.Simulated()}}
		d.byOf[bench] = b
		for e, err := range set.Since(bench, begin) {
			if err != nil {
				delete(d.byOf, bench)
				return board.Day{}, err
			}
			b.day.Record(e)
			b.size = e.Index + 1
		}
		b.size = max(b.size, size)
		return b.day, nil
	}
	for e, err := range l.Entries(b.size) {
		if err != nil {
			return board.Day{}, err
		}
		b.day.Record(e)
		b.size = e.Index + 1
	}
	return b.day, nil
}
