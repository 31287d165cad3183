package flow

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"station/internal/chip"
	"station/internal/record"
)

// A mistake in the job shows only when a device starts, and by then its fuses
// are burned; so does a tray of other modules, or a supply that has become weak.
// The gate stands before the first burn of each visit, so that one cause costs
// few devices: no more than a few are behind it at a time, and those that failed
// alike count too until a newer device passes. Where as many have failed
// alike, nothing is burned until a person lets the line go on.

// AlikeFailures is how many equal failures after a burn stop a line, unless the
// station file says otherwise.
const AlikeFailures = 3

// CodeAlike is the code of a line that stopped because devices failed alike.
const CodeAlike Code = "E-ALIKE"

type gate struct {
	limit    int
	attended bool // somebody can let the line go on

	mu      sync.Mutex
	last    int                       // numbers devices in the order in which they go through
	inside  map[int]bool              // the numbers of those behind the gate, without a verdict
	failed  map[Code]map[chip.MAC]int // without a newer one that passed
	stop    *Failure                  // why nothing may be burned
	changed chan struct{}             // closed when any of the above changes
}

func newGate(limit int, attended bool) *gate {
	if limit < 1 {
		limit = AlikeFailures
	}
	return &gate{limit: limit, attended: attended, inside: map[int]bool{}, failed: map[Code]map[chip.MAC]int{},
		changed: make(chan struct{})}
}

// alikeError tells which failure came again and again.
type alikeError struct {
	code Code
	macs []string
}

func (e *alikeError) Error() string {
	return fmt.Sprintf("%d devices failed with %s after fuses were burned, and none that was begun later has passed: %s; look at the job (its marker and images) and at the fixture before the line goes on (on the screen, or with --go-on)",
		len(e.macs), e.code, strings.Join(e.macs, ", "))
}

// enter waits until the device may be burned, telling that it waits. It gives
// the visit its number, and reports whether it had to wait.
func (g *gate) enter(ctx context.Context, mac chip.MAC, waits func()) (number int, waited bool, err error) {
	for {
		g.mu.Lock()
		stop, open, changed := g.stop, g.open(mac), g.changed
		if open {
			g.last++
			number = g.last
			g.inside[number] = true
		}
		g.mu.Unlock()
		switch {
		case open:
			return number, waited, nil
		case stop != nil && !g.attended:
			return 0, waited, stop
		case !waited:
			waited = true
			waits()
		}
		select {
		case <-ctx.Done():
			return 0, waited, ctx.Err()
		case <-changed:
		}
	}
}

// open reports whether the device may be burned now. One that has failed before
// can be lost only once. The caller holds mu.
func (g *gate) open(mac chip.MAC) bool {
	if g.stop != nil {
		return false
	}
	most := 0
	for _, macs := range g.failed {
		n := len(macs)
		if _, before := macs[mac]; before {
			n--
		}
		most = max(most, n)
	}
	return len(g.inside)+most < g.limit
}

// settle draws the conclusions from a verdict. It returns why the line has to
// stop, once.
func (g *gate) settle(out Outcome) *Failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	defer g.change()
	delete(g.inside, out.number)
	switch {
	case out.Verdict == record.Pass:
		g.prove(out.number)
	case out.Burned && out.Failure != nil && out.Verdict != record.Station && out.Failure.Code != "E-STOPPED":
		return g.count(out.Failure.Code, out.MAC, out.number)
	}
	return nil
}

// prove forgets failures that are older than a device that passed. A device
// proves nothing about those that were begun after it. The caller holds mu.
func (g *gate) prove(number int) {
	for _, macs := range g.failed {
		maps.DeleteFunc(macs, func(_ chip.MAC, n int) bool { return n < number })
	}
}

// count takes note of a device that failed after a burn. The caller holds mu.
func (g *gate) count(code Code, mac chip.MAC, number int) *Failure {
	if g.failed[code] == nil {
		g.failed[code] = map[chip.MAC]int{}
	}
	g.failed[code][mac] = max(number, g.failed[code][mac])
	if len(g.failed[code]) < g.limit || g.stop != nil {
		return nil
	}
	e := &alikeError{code: code}
	for m := range g.failed[code] {
		e.macs = append(e.macs, m.String())
	}
	slices.Sort(e.macs)
	g.stop = &Failure{CodeAlike, e}
	return g.stop
}

// recall takes in how devices of this job ended before the program was started.
// That one passed then says nothing about the fixture now.
func (g *gate) recall(past []Outcome) {
	for _, out := range past {
		if out.Verdict != record.Pass {
			g.settle(out)
		}
	}
}

// stopped is why nothing may be burned; nil while it may.
func (g *gate) stopped() *Failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.stop
}

// goOn lets devices be burned again, a few at a time as ever.
func (g *gate) goOn() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stop = nil
	clear(g.failed)
	g.change()
}

// change wakes everybody who waits. The caller holds mu.
func (g *gate) change() {
	close(g.changed)
	g.changed = make(chan struct{})
}
