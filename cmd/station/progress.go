package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"station/internal/plain"
)

// progress tells a person at a terminal how far something has come that takes
// longer than a second. It writes to standard error, on a line of its own that
// is wiped away at the end; a script never sees it.
type progress struct {
	w            io.Writer // nil where nobody looks
	what, unit   string
	now          func() time.Time
	begun, shown time.Time
	wrote        bool
}

func newProgress(what, unit string) *progress {
	p := &progress{what: plain.Line(what), unit: unit, now: time.Now}
	if isTerminal(os.Stderr) {
		p.w = os.Stderr
	}
	return p
}

// tell says how much is done; total is 0 where nobody knows.
func (p *progress) tell(done, total uint64) { p.tellOf(done, total, p.unit) }

func (p *progress) tellOf(done, total uint64, unit string) {
	if p.w == nil {
		return
	}
	now := p.now()
	if p.begun.IsZero() {
		p.begun = now
	}
	if now.Sub(p.begun) < time.Second || now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown, p.wrote = now, true
	if total > 0 {
		fmt.Fprintf(p.w, "\r\x1b[K%s: %d %%, %d of %d %s", p.what, 100*done/total, done, total, unit)
	} else {
		fmt.Fprintf(p.w, "\r\x1b[K%s: %d %s", p.what, done, unit)
	}
}

// end wipes the line away.
func (p *progress) end() {
	if p.wrote {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.wrote = false
	}
}
