package record

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Numbers of a lot that several benches of a site make together.
const (
	// NumbersLeased: the site gave this bench numbers of the lot, and gives them to
	// no other one. About is a Lease.
	NumbersLeased Kind = "numbers.leased"
	// NumbersReturned: the bench takes none of the numbers in About, Returned, any
	// more: they are all that it had left.
	NumbersReturned Kind = "numbers.returned"
)

// Numbers is consecutive numbers; the zero Numbers is none.
type Numbers struct {
	First int `json:"first"`
	Count int `json:"count"`
}

func (b Numbers) String() string {
	if b.Count == 1 {
		return fmt.Sprint(b.First)
	}
	return fmt.Sprintf("%d to %d", b.First, b.First+b.Count-1)
}

// Lease is a block of numbers that belongs to one bench.
type Lease struct {
	Turn int `json:"turn"` // counts the leases of this bench and lot, from 1
	Numbers
	// Before, of the first one, is how many numbers the bench had taken without a lease.
	Before int `json:"before,omitempty"`
}

// Returned are blocks that a bench has given back.
type Returned struct {
	Blocks []Numbers `json:"blocks"`
}

// Numbered is the About of NumberTaken where numbers are leased: the one that no
// other device of the site's lot has. Number counts those of the bench.
type Numbered struct {
	Site int `json:"site"`
}

// ErrNumbers: the lot's numbers are leased, and none is left.
var ErrNumbers = errors.New("no number that the site gave this bench is left")

// AboutOf is what an entry has to tell in About.
func AboutOf(v any) json.RawMessage {
	b, _ := json.Marshal(v) // texts and numbers
	return b
}

// ReadAbout reads what an entry has in About.
func ReadAbout[T any](e Entry) (v T, err error) {
	if err = json.Unmarshal(e.About, &v); err != nil {
		err = fmt.Errorf("%s: about: %w", e.Kind, err)
	}
	return v, err
}

// held is how many blocks a bench may have in hand: one in work, and the next.
const held = 2

// Left is how many leased numbers are left.
func (l Lot) Left() (n int) {
	for _, b := range l.Free {
		n += b.Count
	}
	return n
}

// Unused are the blocks of the numbers that are left.
func (l Lot) Unused() (list []Numbers) {
	for _, b := range l.Free {
		if b.Count > 0 {
			list = append(list, b)
		}
	}
	return list
}

// Room tells whether the bench may take another block.
func (l Lot) Room() bool { return l.Free[held-1].Count == 0 }

// NextNumber is the site's number for the next device; 0 where numbers are not leased.
func (l Lot) NextNumber() (int, error) {
	switch {
	case l.Leases == 0:
		return 0, nil
	case l.Free[0].Count == 0:
		return 0, ErrNumbers
	}
	return l.Free[0].First, nil
}

// CheckLease tells why the entry contradicts what the lot has of numbers.
func (l Lot) CheckLease(e Entry) error {
	switch e.Kind {
	case NumbersLeased:
		n, err := ReadAbout[Lease](e)
		switch {
		case err != nil:
			return err
		case n.Turn != l.Leases+1 || n.First < 1 || n.Count < 1 || !l.Room():
			return fmt.Errorf("lease %d of the numbers %s does not follow lease %d", n.Turn, n.Numbers, l.Leases)
		case n.Turn == 1 && n.Before != l.Reserved:
			return fmt.Errorf("the first lease knows of %d numbers taken before it, and there are %d", n.Before, l.Reserved)
		}
	case NumbersReturned:
		n, err := ReadAbout[Returned](e)
		if err != nil {
			return err
		}
		if len(n.Blocks) == 0 || fmt.Sprint(n.Blocks) != fmt.Sprint(l.Unused()) {
			return fmt.Errorf("the numbers %v are not those that are left, %v", n.Blocks, l.Unused())
		}
	case NumberTaken:
		want, err := l.NextNumber()
		if err != nil || want == 0 {
			return err
		}
		if n, err := ReadAbout[Numbered](e); err != nil || n.Site != want {
			return fmt.Errorf("the site's number %d, and the next one is %d", n.Site, want)
		}
	}
	return nil
}

// leased folds what an entry says of the numbers in hand.
func (l *Lot) leased(e Entry) {
	switch e.Kind {
	case NumbersLeased:
		n, err := ReadAbout[Lease](e)
		if err != nil {
			return // the ledger lets no such entry in
		}
		l.Leases = n.Turn
		if l.Free[0].Count == 0 {
			l.Free[0] = n.Numbers
		} else {
			l.Free[1] = n.Numbers
		}
	case NumbersReturned:
		l.Free = [held]Numbers{}
	case NumberTaken:
		if l.Leases == 0 || l.Free[0].Count == 0 {
			return
		}
		l.Free[0].First++
		if l.Free[0].Count--; l.Free[0].Count == 0 {
			l.Free = [held]Numbers{l.Free[1]}
		}
	}
}
