package hub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"station/internal/record"
	"station/internal/site"
)

// quota is who has which numbers of a lot. A number belongs to one bench, from the
// lease until that bench has given it back; what nobody has is free.
type quota map[string]*lessee // by bench

// lessee is a bench that has numbers of a lot.
type lessee struct {
	Turn   int              `json:"turn"` // of its newest lease,
	Last   record.Lease     `json:"last"` // which it gets again when it asks again
	Before int              `json:"before,omitempty"`
	Quota  int              `json:"quota,omitempty"` // as it knows it; 0 is no limit
	Blocks []record.Numbers `json:"blocks"`          // the numbers that it has or had used, in order
	// Read is behind the newest entry of its ledger that was taken in here.
	Read uint64 `json:"read,omitempty"`
}

// of is what a bench has.
func (q quota) of(bench string) *lessee {
	if q[bench] == nil {
		q[bench] = &lessee{}
	}
	return q[bench]
}

// limit is the smallest quota that a bench of the lot knows, and whose: 0 is none.
func (q quota) limit() (least int, whose string) {
	for _, bench := range slices.Sorted(maps.Keys(q)) {
		if n := q[bench].Quota; n > 0 && (least == 0 || n < least) {
			least, whose = n, bench
		}
	}
	return least, whose
}

// used is how many numbers somebody has.
func (q quota) used() (n int) {
	for _, l := range q {
		n += l.Before
		for _, b := range l.Blocks {
			n += b.Count
		}
	}
	return n
}

// gap are the lowest numbers that nobody has, at most so many.
func (q quota) gap(most int) record.Numbers {
	var all []record.Numbers
	for _, l := range q {
		all = append(all, l.Blocks...)
	}
	slices.SortFunc(all, func(a, b record.Numbers) int { return cmp.Compare(a.First, b.First) })
	next := 1
	for _, b := range all {
		if b.First > next {
			return record.Numbers{First: next, Count: min(most, b.First-next)}
		}
		next = max(next, b.First+b.Count)
	}
	return record.Numbers{First: next, Count: most}
}

// lease gives a bench its next numbers, or once more those that it has not heard of.
// Towards the end of a quota blocks become small, so that no bench has what others need.
func (q quota) lease(bench string, w site.LeaseWanted) (record.Lease, error) {
	l := q.of(bench)
	l.Quota = w.Quota
	if w.Turn <= 1 { // until its ledger has a lease
		l.Before = w.Before
		l.Last.Before = w.Before
	}
	switch {
	case w.Turn < 1 || w.Size < 1 || w.Before < 0 || w.Quota < 0:
		return record.Lease{}, errors.New("the question for numbers makes no sense")
	case w.Turn == l.Turn:
		return l.Last, nil
	case w.Turn < l.Turn:
		return record.Lease{}, fmt.Errorf("the ledger of %s lacks lease %d of %s", bench, l.Turn, w.Lot)
	case w.Turn > l.Turn+1:
		return record.Lease{}, fmt.Errorf("%w: the site has not read lease %d of %s", site.ErrBehind, w.Turn-1, w.Lot)
	}
	size := w.Size
	if limit, whose := q.limit(); limit > 0 {
		left := limit - q.used()
		if left <= 0 {
			return record.Lease{}, site.Full(fmt.Sprintf("%s may have %d devices, as %s says, and every number belongs to a bench: %s", w.Lot, limit, whose, q))
		}
		size = min(size, max(1, left/(2*len(q))))
	}
	block := q.gap(size)
	l.Turn, l.Last = w.Turn, record.Lease{Turn: w.Turn, Numbers: block}
	if w.Turn == 1 {
		l.Last.Before = w.Before
	}
	l.add(block)
	return l.Last, nil
}

func (q quota) String() string {
	var words []string
	for _, bench := range slices.Sorted(maps.Keys(q)) {
		words = append(words, fmt.Sprintf("%s %d", bench, quota{bench: q[bench]}.used()))
	}
	return strings.Join(words, ", ")
}

// add puts numbers to those of the bench.
func (l *lessee) add(b record.Numbers) {
	l.Blocks = append(l.Blocks, b)
	slices.SortFunc(l.Blocks, func(a, b record.Numbers) int { return cmp.Compare(a.First, b.First) })
	joined := l.Blocks[:1]
	for _, b := range l.Blocks[1:] {
		if last := &joined[len(joined)-1]; last.First+last.Count >= b.First {
			last.Count = max(last.Count, b.First+b.Count-last.First)
		} else {
			joined = append(joined, b)
		}
	}
	l.Blocks = joined
}

// remove takes numbers from the bench.
func (l *lessee) remove(gone record.Numbers) {
	var left []record.Numbers
	end := gone.First + gone.Count
	for _, b := range l.Blocks {
		if before := min(b.First+b.Count, gone.First) - b.First; before > 0 {
			left = append(left, record.Numbers{First: b.First, Count: before})
		}
		if from := max(b.First, end); from < b.First+b.Count {
			left = append(left, record.Numbers{First: from, Count: b.First + b.Count - from})
		}
	}
	l.Blocks = left
}

// read takes in what the bench's ledger says of its numbers: what it gave back, and
// what a site that lost its records had given it.
func (q quota) read(bench string, e record.Entry) error {
	l := q.of(bench)
	if e.Index < l.Read {
		return nil
	}
	l.Read = e.Index + 1
	if e.Kind == record.NumbersReturned {
		gone, err := record.ReadAbout[record.Returned](e)
		for _, b := range gone.Blocks {
			l.remove(b)
		}
		return err
	}
	had, err := record.ReadAbout[record.Lease](e)
	if err != nil || had.Turn <= l.Turn {
		return err
	}
	l.Turn, l.Last = had.Turn, had
	if had.Turn == 1 {
		l.Before = had.Before
	}
	l.add(had.Numbers)
	return nil
}

// changeQuota changes what is kept of a lot.
func (h *Hub) changeQuota(ctx context.Context, lot string, change func(quota) error) error {
	return changeRecord(ctx, h.quotas, site.LotKey(lot), func(q *quota) error {
		if *q == nil {
			*q = quota{}
		}
		return change(*q)
	})
}

// leased answers a bench that wants numbers.
func (m *mirror) leased(ctx context.Context, w site.LeaseWanted) (a site.Answer, err error) {
	if k := m.state(); k.Halt != nil {
		return a, k.Halt
	}
	if err = m.hub.unread(m.bench); err == nil {
		err = m.hub.holders.add(m.bench)
	}
	if err != nil {
		return a, fmt.Errorf("numbers of %s: %w", w.Lot, err)
	}
	var got record.Lease
	var full error
	err = m.hub.changeQuota(ctx, w.Lot, func(q quota) (err error) {
		if err = m.hub.forget(q); err != nil {
			return err
		}
		if got, err = q.lease(m.bench, w); errors.Is(err, site.ErrFull) {
			full, err = err, nil // what the bench said of its quota is kept
		}
		return err
	})
	switch {
	case err == nil && full != nil:
		return site.Answer{Full: full.Error()}, nil
	case err != nil:
		return a, fmt.Errorf("numbers of %s: %w", w.Lot, err)
	}
	return site.Answer{Lease: &got}, nil
}

// settleNumbers takes in what the ledger says of numbers.
func (m *mirror) settleNumbers(e record.Entry) error {
	if e.Kind != record.NumbersLeased && e.Kind != record.NumbersReturned {
		return nil
	}
	return m.hub.changeQuota(m.hub.ctx, e.Lot(), func(q quota) error {
		if err := q.read(m.bench, e); err != nil {
			m.hub.Tell(fmt.Sprintf("%s, entry %d: %v", m.bench, e.Index, err)) // its ledger would not have taken it
		}
		return nil
	})
}
