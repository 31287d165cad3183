package flow

import (
	"errors"
	"fmt"
	"slices"
)

// BaseBaud is the rate at which every loader is first spoken to, and the last
// to fall back to.
const BaseBaud = 115200

// usualRates are the rates that a job's own is left for, the fastest first.
var usualRates = []int{2000000, 1500000, 1000000, 921600, 460800, 230400, BaseBaud}

// AdapterRates decides at which rate the devices behind one adapter are spoken to: as
// fast as the job allows, at the next lower rate for a while where that makes errors.
// It is pure and remembers what an adapter has shown; it is kept as JSON.
type AdapterRates struct {
	// Works reports whether the adapter can do a rate, as far as is known from
	// its kind; nil: nothing is known against any.
	Works func(baud int) bool `json:"-"`

	Barred map[int]*Bar `json:"barred,omitempty"` // by rate
}

// Bar is what is known of a rate that made errors, and when it is tried again.
type Bar struct {
	Times int `json:"times"`           // how often it was left since it last worked
	Wait  int `json:"wait,omitempty"`  // devices without an error at a lower rate before it is tried again
	Clean int `json:"clean,omitempty"` // devices without an error at it, since it was last left
}

const (
	firstWait = 20  // devices; twice as many each time, so that a rate that never works is seldom tried,
	maxWait   = 640 // up to so many
	maxTimes  = 100 // counted
	proven    = 10  // devices without an error, after which what was before is forgotten
	tolerated = 100 // one block in so many may be sent again
)

// Check says what is wrong with rates that come out of a file.
func (l *AdapterRates) Check() error {
	if l == nil {
		return errors.New("it is empty")
	}
	for baud, bar := range l.Barred {
		switch {
		case bar == nil:
			return fmt.Errorf("what is known of %d baud is empty", baud)
		case baud <= 0 || bar.Times < 0 || bar.Times > maxTimes || bar.Clean < 0 || bar.Clean > proven || bar.Wait < 0 || bar.Wait > maxWait:
			return fmt.Errorf("what is known of %d baud is out of range", baud)
		}
	}
	return nil
}

// Pick is the rate to use next: limit or the first of the usual rates below it, but none of
// not, and why it is not limit.
func (l *AdapterRates) Pick(limit int, not ...int) (baud int, why string) {
	blame := func(format string, args ...any) {
		if why == "" { // the fastest one's reason
			why = fmt.Sprintf(format, args...)
		}
	}
	for _, baud := range append([]int{limit}, usualRates...) {
		switch bar := l.Barred[baud]; {
		case baud > limit || slices.Contains(not, baud):
		case baud <= BaseBaud:
			return baud, why
		case l.Works != nil && !l.Works(baud):
			blame("this adapter cannot do %d baud", baud)
		case bar != nil && bar.Wait > 0:
			blame("%d baud made errors here; it is tried again after %d devices without one", baud, bar.Wait)
		default:
			return baud, why
		}
	}
	return BaseBaud, why
}

// Failed says that at baud the device could not be spoken to or written, and at
// a lower rate it could.
func (l *AdapterRates) Failed(baud int) {
	if baud <= BaseBaud {
		return
	}
	if l.Barred == nil {
		l.Barred = map[int]*Bar{}
	}
	bar := l.Barred[baud]
	if bar == nil {
		bar = &Bar{}
		l.Barred[baud] = bar
	}
	bar.Wait = min(firstWait<<min(bar.Times, 10), maxWait)
	bar.Times, bar.Clean = min(bar.Times+1, maxTimes), 0
}

// Done says that so many blocks were written at baud, so many of them more than
// once. Where that is too many the rate is left for the next device. A device
// without any brings the rates above a step nearer.
func (l *AdapterRates) Done(baud, blocks, again int) {
	switch {
	case blocks == 0:
	case again*tolerated > blocks:
		l.Failed(baud)
	case again == 0:
		for rate, bar := range l.Barred {
			if rate > baud && bar.Wait > 0 {
				bar.Wait--
			}
		}
		if bar := l.Barred[baud]; bar != nil {
			if bar.Clean++; bar.Clean >= proven {
				delete(l.Barred, baud)
			}
		}
	}
}
