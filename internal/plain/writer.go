package plain

import (
	"io"
	"sync"
	"unicode/utf8"
)

// Writer is a terminal, or what may be shown on one later, behind Text. JSON
// stays the same JSON: what is made visible is an escape of JSON too.
type Writer struct {
	mu   sync.Mutex
	w    io.Writer
	rest []byte // of a character that has not come whole
	buf  []byte
}

// NewWriter writes to w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Raw is what is behind the writer: for pictures, tables and other bytes that
// are not text.
func (w *Writer) Raw() io.Writer { return w.w }

// Write is one write to what is behind.
func (w *Writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ok, _ := harmless(p, " \n\t"); ok && len(w.rest) == 0 {
		return w.w.Write(p)
	}
	all := p
	if len(w.rest) > 0 {
		all = append(w.rest, p...)
	}
	whole := len(all) - partial(all)
	w.buf = appendPlain(w.buf[:0], all[:whole])
	w.rest = append([]byte(nil), all[whole:]...)
	if len(w.buf) == 0 {
		return len(p), nil
	}
	if _, err := w.w.Write(w.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// partial is how many bytes at the end of p may be the begin of a character.
func partial(p []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(p); n++ {
		if b := p[len(p)-n]; utf8.RuneStart(b) {
			if b >= utf8.RuneSelf && !utf8.FullRune(p[len(p)-n:]) {
				return n
			}
			return 0
		}
	}
	return 0
}

// Raw is the writer behind a Writer of this package; any other writer is returned as it is.
func Raw(w io.Writer) io.Writer {
	if p, ok := w.(*Writer); ok {
		return p.Raw()
	}
	return w
}
