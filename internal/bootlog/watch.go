package bootlog

import "slices"

// Watch is Parse and Marker for a console that still goes on: each byte is
// looked at once, however small the pieces in which it comes.
type Watch struct {
	l liner
	p parser
}

// NewWatch looks for the marker as Marker does.
func NewWatch(marker string) *Watch { return &Watch{p: parser{want: marker}} }

// Add takes the next piece of the console.
func (w *Watch) Add(piece []byte) {
	for _, b := range piece {
		w.l.add(b, w.p.line)
	}
}

// now is the parser with the line that has no end yet.
func (w *Watch) now() *parser {
	p := w.p
	p.r.Resets, p.r.Findings, p.found = slices.Clone(p.r.Resets), slices.Clone(p.r.Findings), slices.Clone(p.found)
	if len(w.l.line) > w.l.carried {
		p.line(string(w.l.line), w.l.carried)
	}
	return &p
}

// Report is what Parse says of everything so far.
func (w *Watch) Report() Report { return w.now().report() }

// Marker is what Marker says of everything so far.
func (w *Watch) Marker() (line string, found bool) {
	p := w.now()
	return p.at, p.ready
}
