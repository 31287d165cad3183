package sim

import (
	"compress/zlib"
	"errors"
	"io"
	"iter"
)

// Compressed writing. The ROM inflates into a window of 32 KiB and programs
// the whole window each time it is full, and once more at the end of the
// stream with whatever it held: past the data, into sectors that BEGIN did not erase.

// inflater is a zlib stream fed piece by piece: a coroutine that gives back
// control when it wants more input, has a window to program, or has ended.
type inflater struct {
	in     []byte
	ended  bool
	exact  bool // of the last window only what the stream has filled is programmed
	resume func() (inflated, bool)
	stop   func()
}

// inflated is one event of the stream.
type inflated struct {
	window []byte // to be programmed
	end    bool
	err    error
}

var errStopped = errors.New("stopped")

func newInflater(exact bool) *inflater {
	f := &inflater{exact: exact}
	f.resume, f.stop = iter.Pull(f.events)
	return f
}

// events runs the stream. It yields nothing of meaning when it needs input.
func (f *inflater) events(yield func(inflated) bool) {
	src := &feed{f: f, more: func() bool { return yield(inflated{}) }}
	var window [deflateWindow]byte
	z, err := zlib.NewReader(src)
	at := 0
	for err == nil {
		var n int
		n, err = z.Read(window[at:])
		at += n
		if last := err == io.EOF && at > 0; at == len(window) || last {
			full := window[:]
			if f.exact {
				full = window[:at]
			}
			if !yield(inflated{window: full}) {
				return
			}
			at = 0
		}
	}
	switch {
	case src.stopped:
	case err == io.EOF:
		yield(inflated{end: true})
	default:
		yield(inflated{end: true, err: err})
	}
}

// feed gives the stream its input byte by byte, so that nothing is read ahead.
type feed struct {
	f       *inflater
	more    func() bool
	stopped bool
}

func (s *feed) ReadByte() (byte, error) {
	for len(s.f.in) == 0 {
		if s.stopped || !s.more() {
			s.stopped = true
			return 0, errStopped
		}
	}
	b := s.f.in[0]
	s.f.in = s.f.in[1:]
	return b, nil
}

func (s *feed) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := s.ReadByte()
	if err != nil {
		return 0, err
	}
	p[0] = b
	return 1, nil
}

func (c *Chip) deflBegin() answer {
	a := c.begin()
	if !a.failed || a.code == errFailed {
		c.loader.inflate = newInflater(c.si.data().forgiving)
	}
	return a
}

// deflData inflates and programs. After the end of the stream it kills the loader.
func (c *Chip) deflData() answer {
	l := &c.loader
	if l.inflate == nil {
		return fail(errFormat)
	}
	p, a := c.block()
	switch {
	case a.failed:
		return a
	case l.inflate.ended:
		return c.hang()
	}
	f := l.inflate
	f.in = append(f.in[:0:0], p...)
	for {
		ev, ok := f.resume()
		switch {
		case !ok:
			return c.hang()
		case ev.window != nil:
			c.writeOn(ev.window)
		case ev.end:
			f.ended = true
			return inflateStatus(ev.err, a)
		case len(f.in) == 0:
			return a
		}
	}
}

func inflateStatus(err error, ok answer) answer {
	switch {
	case err == nil:
		return ok
	case errors.Is(err, zlib.ErrChecksum):
		return fail(errAdler)
	}
	return fail(errInflate)
}

// deflEnd leaves the loader like FLASH_END, without a word on missing blocks.
func (c *Chip) deflEnd() answer { return c.leave(done) }
