package bootlog

import (
	"bytes"
	"slices"
)

// Watch is Parse and Marker for a console that still goes on: each line is
// looked at once, however small the pieces in which it comes.
type Watch struct {
	p    parser
	m    mark
	tail []byte // of the line that has no end yet
}

// NewWatch looks for the marker as Marker does.
func NewWatch(marker string) *Watch { return &Watch{m: mark{want: marker}} }

// noise is a line that is none: it is not kept until it ends.
const noise = 4 * maxLine

// Add takes the next piece of the console.
func (w *Watch) Add(piece []byte) {
	w.tail = append(w.tail, piece...)
	end := bytes.LastIndexAny(w.tail, "\r\n") + 1
	if len(w.tail)-end > noise {
		end = len(w.tail)
	}
	for line := range lines(w.tail[:end]) {
		w.p.line(line)
		w.m.line(line)
	}
	w.tail = append(w.tail[:0], w.tail[end:]...)
}

// Report is what Parse says of everything so far.
func (w *Watch) Report() Report {
	p := w.p
	p.r.Resets, p.r.Findings = slices.Clone(p.r.Resets), slices.Clone(p.r.Findings)
	for line := range lines(w.tail) {
		p.line(line)
	}
	return p.report()
}

// Marker is what Marker says of everything so far.
func (w *Watch) Marker() (line string, found bool) {
	m := w.m
	for line := range lines(w.tail) {
		m.line(line)
	}
	return m.at, m.found
}
