package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/site"
)

// Of the batch that two benches make together.
const (
	quota     = 20 // devices
	block     = 4  // numbers that a bench would like at a time
	firstOnes = 4  // devices that each makes while the fault happens
	leaseTime = 5 * time.Second
	pause     = 50 * time.Millisecond // between two leases
)

// batch is what two benches make together, and which of them has which number of it.
type batch struct {
	name string

	mu sync.Mutex
	of map[int]string // number: the bench that has it
}

// give notes that a bench got numbers: nobody may have had them.
func (s *batch) give(bench string, got record.Numbers) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for n := got.First; n < got.First+got.Count; n++ {
		if has := s.of[n]; has != "" || n < 1 || n > quota {
			return fmt.Errorf("%s got number %d of %d, which %q has", bench, n, quota, has)
		}
		s.of[n] = bench
	}
	return nil
}

// back notes that a bench has numbers no more.
func (s *batch) back(list []record.Numbers) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range list {
		for n := b.First; n < b.First+b.Count; n++ {
			delete(s.of, n)
		}
	}
}

// maker is a bench that makes devices of a batch.
type maker struct {
	*bench
	batch *batch
	made  int
}

func (m *maker) entry(kind record.Kind) record.Entry {
	return record.Entry{Kind: kind, Batch: m.batch.name, Simulated: true}
}

func (m *maker) lot() record.Lot {
	l, _, err := m.Ledger.Lot(record.BatchLot(m.batch.name, true))
	if err != nil {
		m.t.Error(err)
	}
	return l
}

// ask asks for a lease twice at the same instant, until the site has answered: whoever
// loses an answer and asks again gets the same numbers.
func (m *maker) ask(turn int) (got record.Lease, err error) {
	type answer struct {
		record.Lease
		err error
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		answers := make(chan answer, 2)
		for range cap(answers) {
			go func() {
				ctx, cancel := context.WithTimeout(m.t.Context(), leaseTime)
				defer cancel()
				l, err := m.Lease(ctx, site.LeaseWanted{Lot: record.BatchLot(m.batch.name, true), Turn: turn, Quota: quota, Size: block})
				answers <- answer{l, err}
			}()
		}
		one, two := <-answers, <-answers
		switch {
		case one.err == nil && two.err == nil && one.Lease != two.Lease:
			return got, fmt.Errorf("%s got lease %d twice: %v and %v", m.Pass.Bench, turn, one.Lease, two.Lease)
		case one.err == nil && !conflict(two.err):
			return one.Lease, nil
		case two.err == nil && !conflict(one.err):
			return two.Lease, nil
		case errors.Is(one.err, site.ErrFull) && errors.Is(two.err, site.ErrFull):
			return got, site.ErrFull
		}
		if err = errors.Join(one.err, two.err); conflict(err) {
			return got, fmt.Errorf("%s is told that somebody was quicker, and not what it gets: %w", m.Pass.Bench, err)
		}
	}
	return got, fmt.Errorf("%s never gets numbers: %w", m.Pass.Bench, err)
}

// conflict tells whether the site has answered with what its compare-and-set came upon.
func conflict(err error) bool {
	return err != nil && strings.Contains(err.Error(), "wrong last sequence")
}

// lease gets the next numbers and writes them down; site.ErrFull where all have an owner.
func (m *maker) lease() error {
	got, err := m.ask(m.lot().Leases + 1)
	if err == nil {
		err = m.batch.give(m.Pass.Bench, got.Numbers)
	}
	if err == nil {
		e := m.entry(record.NumbersLeased)
		e.About = record.AboutOf(got)
		_, err = m.Ledger.Append(e)
	}
	return err
}

// take makes devices of the numbers in hand, at most so many.
func (m *maker) take(most int) error {
	for range min(most, m.lot().Left()) {
		m.made++
		e := m.entry(record.NumberTaken)
		e.MAC = chip.MAC{2, 1, 0, 0, 0, byte(m.made)}
		if _, err := m.Ledger.Reserve(e); err != nil {
			return err
		}
	}
	return nil
}

// giveBack gives back what is in hand.
func (m *maker) giveBack() error {
	list := m.lot().Unused()
	if len(list) == 0 {
		return nil
	}
	m.batch.back(list) // from here on the other one may get them
	e := m.entry(record.NumbersReturned)
	e.Operator, e.About = "anna", record.AboutOf(record.Returned{Blocks: list})
	_, err := m.Ledger.Append(e)
	return err
}

// make leases, takes and gives back numbers until the fault is over. It ends with a lease: a
// question that was late may be answered behind one that heard that there are none.
func (m *maker) make(over <-chan struct{}) error {
	e := m.entry(record.BatchOpened)
	e.Quota, e.Operator, e.Job = quota, "anna", "lamp"
	if _, err := m.Ledger.Append(e); err != nil {
		return err
	}
	for going, full := true, false; going || full || m.made < firstOnes; time.Sleep(pause) {
		select {
		case <-over:
			going = false
		default:
		}
		err := m.lease()
		if full = errors.Is(err, site.ErrFull); full { // until the site has read what came back
			continue
		}
		if err == nil && m.made < firstOnes {
			err = m.take(1)
		}
		if err = errors.Join(err, m.giveBack()); err != nil {
			return err
		}
	}
	return nil
}

// again makes sure that the site remembers the newest lease of the bench.
func (m *maker) again() {
	m.t.Helper()
	var last record.Lease
	for e, err := range m.Ledger.Entries(0) {
		if err == nil && e.Kind == record.NumbersLeased {
			last, err = record.ReadAbout[record.Lease](e)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	if got, err := m.ask(last.Turn); err != nil || got != last {
		m.t.Errorf("%s asks for lease %d again, and gets %v, %v, want %v", m.Pass.Bench, last.Turn, got, err, last)
	}
}

// useUp lets both make devices until there is no number left: what was given back is
// given out again, and each number is that of one device.
func (p *plant) useUp(makers ...*maker) {
	p.t.Helper()
	p.until("every number is taken", func() bool {
		made := 0
		for _, m := range makers {
			err := m.lease()
			if err == nil {
				err = m.take(block)
			}
			if err != nil && !errors.Is(err, site.ErrFull) {
				p.t.Fatal(err)
			}
			made += m.made
		}
		return made >= quota
	})
	var all []int
	for _, m := range makers {
		if err := m.lease(); !errors.Is(err, site.ErrFull) {
			p.t.Errorf("%s asks for more numbers than there are: %v", m.Pass.Bench, err)
		}
		all = append(all, m.taken()...)
	}
	slices.Sort(all)
	if len(all) != quota || len(slices.Compact(all)) != quota || all[0] != 1 || all[quota-1] != quota {
		p.t.Errorf("the devices have the numbers %v, of %d", all, quota)
	}
}

// taken are the site's numbers of the bench's devices.
func (m *maker) taken() (list []int) {
	for e, err := range m.Ledger.Entries(0) {
		var n record.Numbered
		if err == nil && e.Kind == record.NumberTaken {
			n, err = record.ReadAbout[record.Numbered](e)
			list = append(list, n.Site)
		}
		if err != nil {
			m.t.Fatal(err)
		}
	}
	return list
}
