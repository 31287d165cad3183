package replica

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// Found is a device as one bench knows it.
type Found struct {
	Bench  string
	Device record.Device
}

// Device is a device as each bench knows it that does: the one whose device it is
// comes first.
func (s *Set) Device(mac chip.MAC) (list []Found, err error) {
	all := s.all()
	found := make([]*Found, len(all))
	err = ask(all, func(i int, l *ledger.Ledger) error {
		d, known, err := l.Device(mac)
		if known {
			found[i] = &Found{all[i].bench, d}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, f := range found {
		if f != nil {
			list = append(list, *f)
		}
	}
	slices.SortStableFunc(list, func(a, b Found) int { return a.Device.Elder(b.Device) })
	return list, nil
}

// Find is Device for all devices that a person may mean: by MAC, serial number, ID or
// the serial number of a certificate. A name of which one bench knows the device is that
// of this MAC at all.
func (s *Set) Find(name string) (list []Found, err error) {
	all := s.all()
	named := make([]chip.MAC, len(all))
	err = ask(all, func(i int, l *ledger.Ledger) error {
		mac, known, err := l.Named(name)
		if known {
			named[i] = mac
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	var macs []chip.MAC
	for _, mac := range named {
		if !mac.IsZero() && !slices.Contains(macs, mac) {
			macs = append(macs, mac)
		}
	}
	for _, mac := range macs {
		some, err := s.Device(mac)
		if err != nil {
			return nil, err
		}
		list = append(list, some...)
	}
	return list, nil
}

// ask asks the ledgers of all of them, on all processors. The error is that of the first.
func ask(all []*Replica, of func(i int, l *ledger.Ledger) error) error {
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	n := runtime.GOMAXPROCS(0)
	for part := range n {
		wg.Go(func() {
			for i := part; i < len(all); i += n {
				errs[i] = of(i, all[i].Ledger())
			}
		})
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return fmt.Errorf("replica of %s: %w", all[i].bench, err)
		}
	}
	return nil
}

// Batch is one batch at all benches that have made devices of it.
type Batch struct {
	Name      string
	Simulated bool
	Parts     []Part
}

// Part is what one bench's ledger says of a batch.
type Part struct {
	Bench string
	record.Lot
}

// Batches are those of all benches, in the order of their names. Simulated ones are
// batches of their own.
func (s *Set) Batches() (list []Batch, err error) {
	for _, r := range s.all() {
		l := r.Ledger()
		for lot, err := range l.Lots() {
			if err != nil {
				return nil, fmt.Errorf("replica of %s: %w", r.bench, err)
			}
			name, is := lot.BatchName(l.Simulated())
			if !is {
				continue
			}
			i := slices.IndexFunc(list, func(b Batch) bool { return b.Name == name && b.Simulated == l.Simulated() })
			if i < 0 {
				i, list = len(list), append(list, Batch{Name: name, Simulated: l.Simulated()})
			}
			list[i].Parts = append(list[i].Parts, Part{r.bench, lot})
		}
	}
	slices.SortFunc(list, func(a, b Batch) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), -boolean(b.Simulated)+boolean(a.Simulated))
	})
	return list, nil
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// Total adds the benches up. Quota is that of the order: benches to which the site gives numbers
// share one. Opened is when the first of them opened the batch, Closed
// when the last one closed it: zero while it is open at one.
func (b Batch) Total() (sum record.Lot) {
	for i, p := range b.Parts {
		if i == 0 {
			sum = record.Lot{Name: p.Name, Job: p.Job, JobHash: p.JobHash, Opened: p.Opened, Closed: p.Closed}
		}
		if sum.Opened.IsZero() || !p.Opened.IsZero() && p.Opened.Before(sum.Opened) {
			sum.Opened = p.Opened
		}
		if p.Closed.IsZero() || !sum.Closed.IsZero() && p.Closed.After(sum.Closed) {
			sum.Closed = p.Closed
		}
		sum.Reserved, sum.Refused, sum.Devices = sum.Reserved+p.Reserved, sum.Refused+p.Refused, sum.Devices+p.Devices
		sum.Passed, sum.Scrapped, sum.Quarantined = sum.Passed+p.Passed, sum.Scrapped+p.Scrapped, sum.Quarantined+p.Quarantined
	}
	var parts []record.Lot
	for _, p := range b.Parts {
		parts = append(parts, p.Lot)
	}
	sum.Quota = record.Ordered(parts)
	return sum
}
