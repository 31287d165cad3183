package station

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"station/internal/record"
	"station/internal/site"
	"station/internal/site/outbox"
)

// How many numbers a bench asks for at a time.
const (
	usualLease = 100
	maxLease   = 100_000
)

// numbers are the numbers of a quota that the site gave this bench. Each lease is an entry
// of the ledger before a number of it is taken, and each number belongs to one bench.
type numbers struct {
	site *Site
	size int

	turn sync.Mutex // one lease at a time

	mu    sync.Mutex
	last  record.Entry // the newest that asked for a number: whose lot is kept filled
	full  string       // the lot of which the site had none any more
	block int          // how many it got at last, of a lot
	of    string       // which that was
}

func newNumbers(s *Site, size int) *numbers {
	n := &numbers{site: s, size: size}
	switch {
	case s.offline == OfflineStop:
		n.size = 1 // it has the site at hand for each device
	case size == 0:
		n.size = usualLease
	}
	if s.offline == OfflineLease {
		s.Refill = n.refill
	}
	return n
}

// lot says of which lot numbers are kept in hand.
func (n *numbers) lot(e record.Entry) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last = record.Entry{Batch: e.Batch, Quota: e.Quota, Simulated: e.Simulated}
	if e.Batch == "" {
		n.last.Job = e.Job
	}
}

// wanted is whose numbers are kept in hand, and whether the site has none any more.
func (n *numbers) wanted() (e record.Entry, full bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last, n.full == n.last.Lot()
}

func (n *numbers) fullIs(lot string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.full = lot
}

// got takes how many numbers of a lot the site gave: fewer than were asked for towards the
// end of a quota.
func (n *numbers) got(lot string, count int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.block, n.of = count, lot
}

// few is when to ask for another block: half of one is left.
func (n *numbers) few(lot string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.of != lot {
		return n.size / 2
	}
	return n.block / 2
}

// left is how many numbers the line has in hand.
func (n *numbers) left() int {
	e, _ := n.wanted()
	l, _, err := n.site.Ledger.Lot(e.Lot())
	if err != nil {
		return 0
	}
	return l.Left()
}

// refill keeps between half a block and one and a half in hand, while the site is there. It is
// a block as the site gave it at last: where that was a small one, others need the rest too.
func (n *numbers) refill(ctx context.Context) error {
	n.turn.Lock()
	defer n.turn.Unlock()
	e, full := n.wanted()
	if e.Lot() == "" || full {
		return nil
	}
	l, _, err := n.site.Ledger.Lot(e.Lot())
	if err != nil || !l.Closed.IsZero() || !l.Room() || l.Left() > n.few(e.Lot()) {
		return err
	}
	err = n.lease(ctx, e)
	if errors.Is(err, site.ErrFull) || errors.Is(err, outbox.ErrAway) {
		return nil // who wants a number is told
	}
	return err
}

// ready makes sure that there is a number for the entry's device.
func (n *numbers) ready(ctx context.Context, e record.Entry) error {
	if e.Simulated && !n.site.Ledger.Simulated() { // the site shares no numbers of virtual devices with real ones
		return nil
	}
	n.lot(e)
	n.turn.Lock()
	defer n.turn.Unlock()
	book := n.site.Ledger
	d, _, err := book.Device(e.MAC)
	if err != nil || d.Numbers[e.Lot()] > 0 {
		return err
	}
	l, _, err := book.Lot(e.Lot())
	if err != nil || l.Left() > 0 {
		return err
	}
	quota, err := n.quota(e)
	if err != nil || quota == 0 && n.site.offline == OfflineStop && l.Leases == 0 {
		return err
	}
	n.fullIs("")
	wanted, _ := n.wanted()
	switch err = n.lease(ctx, wanted); {
	case errors.Is(err, site.ErrFull):
		return fmt.Errorf("%w: %w", record.ErrQuota, err)
	case errors.Is(err, outbox.ErrAway):
		return away(fmt.Errorf("%w of %s, and %w", record.ErrNumbers, e.Lot(), err))
	}
	return err
}

// quota is how many devices the entry's lot may have, as this bench knows it.
func (n *numbers) quota(e record.Entry) (int, error) {
	name := e.Lot()
	if e.Batch != "" {
		name = record.BatchLot(e.Batch, n.site.Ledger.Simulated())
	}
	l, _, err := n.site.Ledger.Lot(name)
	return l.Limit(e), err
}

// lease gets one block more, and writes down that this bench has it. What the site has
// given and this ledger has not got is given once more. The caller holds turn.
func (n *numbers) lease(ctx context.Context, e record.Entry) error {
	l, _, err := n.site.Ledger.Lot(e.Lot())
	if err != nil {
		return err
	}
	quota, err := n.quota(e)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	got, err := n.site.Lease(ctx, site.LeaseWanted{Lot: e.Lot(), Turn: l.Leases + 1, Before: before(l), Quota: quota, Size: n.size})
	if errors.Is(err, site.ErrFull) {
		n.fullIs(e.Lot())
	}
	if err != nil {
		return err
	}
	n.got(e.Lot(), got.Count)
	_, err = n.site.Ledger.Append(record.Entry{Kind: record.NumbersLeased, Batch: e.Batch, Job: e.Job, Simulated: e.Simulated, Quota: quota, About: record.AboutOf(got)})
	return err
}

// before is how many numbers were taken before the first lease.
func before(l record.Lot) int {
	if l.Leases > 0 {
		return 0
	}
	return l.Reserved
}

// Reserve implements flow.Ledger: where the site shares out the quota, it is asked first.
func (c claims) Reserve(e record.Entry) (int, error) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), claimTime)
		err := c.site.numbers.ready(ctx, e)
		cancel()
		if err != nil {
			return 0, err
		}
		got, err := c.Ledger.Reserve(e)
		if !errors.Is(err, record.ErrNumbers) { // another slot took the last one
			return got, err
		}
	}
}
