package station

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/job"
	"station/internal/port"
)

// How a slot looks for its next device.
const (
	lookEvery = 500 * time.Millisecond // at a port that only asking can find, or a fixture that keeps its adapter
	answerIn  = 2 * time.Second        // a device that is there answers within
	settleIn  = 3 * time.Second        // a port that has just come belongs to its group, and to us, within
)

// RealSlot is one slot of the fixture with a real port.
type RealSlot struct {
	Name  string
	Port  string // as port.Open takes it
	Reset job.Reset
	Once  bool        // the port must be there and the device in it; otherwise both are waited for
	Ports port.System // where the port is; the zero value is this machine
	Warn  func(string)
}

// Slot is the slot as the line uses it.
func (p RealSlot) Slot() flow.Slot {
	if p.Ports == (port.System{}) {
		p.Ports = port.Host
	}
	s := &slot{RealSlot: p, empty: true} // what sits there when the line starts is new to it
	s.options = esploader.Options{Reset: string(p.Reset), ByHand: s.hand.loader}
	return flow.Slot{Name: p.Name, Port: p.Port, Next: s.next, OnHand: func(tell func(flow.Hand, time.Time)) { s.hand.tell = tell }, Again: func() { s.again.Store(true) }}
}

type slot struct {
	RealSlot
	options esploader.Options
	last    chip.MAC // of the device that was here before
	empty   bool     // it has been taken out since, or there was none
	here    bool     // nobody was told that it has been taken out
	again   atomic.Bool
	absent  bool      // the port itself is not there
	dumb    bool      // without modem lines: a device that runs looks like none
	came    time.Time // when it was first seen after that
	failed  bool      // it could not be opened when it was last looked at
	warned  bool

	hand hand
}

func (s *slot) open() (*esploader.Loader, error) {
	p, err := s.Ports.Open(s.Port)
	if err != nil {
		return nil, err
	}
	s.dumb = s.Reset == esploader.ResetManual
	if !s.dumb && errors.Is(p.SetLines(false, false), errors.ErrUnsupported) {
		s.dumb = true
		s.warn(fmt.Sprintf("slot %s: port %s has no DTR and RTS; the station waits for a hand to reset the device", s.Name, s.Port))
	}
	return esploader.New(p, s.options), nil
}

// warn tells of what is wrong with the port, once.
func (s *slot) warn(text string) {
	if s.Warn != nil && !s.warned {
		s.Warn(text)
	}
	s.warned = true
}

func (s *slot) next(ctx context.Context, removed func()) (flow.Loader, error) {
	if s.Once {
		l, err := s.open()
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	s.hand.setLooking(true)
	defer s.hand.setLooking(false)
	var changes <-chan struct{}
	if watch, err := s.Ports.Watch(s.Port); err == nil {
		defer watch.Close()
		changes = watch.C
	}
	for {
		l, err := s.find(ctx)
		if s.here && s.empty && (s.absent || !s.dumb) {
			s.here = false
			removed()
		}
		if l != nil || err != nil {
			return l, err
		}
		var later <-chan time.Time
		if !s.absent || changes == nil { // nothing will tell
			later = time.After(lookEvery)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changes:
		case <-later:
		}
	}
}

// find returns the next device if it is there now, and nil if not. A device
// that was here before is the next one only after it had been taken out.
func (s *slot) find(ctx context.Context) (flow.Loader, error) {
	was := s.absent
	l, err := s.open()
	again := s.failed // it may have been pulled in the moment of the first look
	s.absent = errors.Is(err, chip.ErrPortAbsent)
	s.failed = err != nil && !s.absent
	if was && !s.absent {
		s.came = time.Now()
	}
	switch {
	case s.absent:
		s.empty = true
		return nil, nil
	case s.settling(err), err != nil && !again:
		return nil, nil
	case err != nil:
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	id, err := identify(ctx, l)
	switch {
	case err == nil && (s.again.Swap(false) || s.empty || id.MAC != s.last):
		s.last, s.empty, s.here = id.MAC, false, true
		return &connected{Loader: l, id: &id}, nil
	case errors.Is(err, chip.ErrNoAnswer), errors.Is(err, chip.ErrPortGone), errors.Is(err, context.DeadlineExceeded):
		s.empty = true
	case err != nil && s.empty: // something is there that does not work: let the procedure name it
		s.empty, s.here = false, true
		return l, nil
	}
	l.Close()
	return nil, nil
}

// settling reports whether a port that has just been plugged in need only be
// waited for: udev gives it to its group a moment later, and other programs
// open it to see what it is.
func (s *slot) settling(err error) bool {
	denied := errors.Is(err, fs.ErrPermission) || errors.Is(err, chip.ErrPortBusy)
	return denied && time.Since(s.came) < settleIn
}

func identify(ctx context.Context, l *esploader.Loader) (chip.Identity, error) {
	if err := l.Connect(ctx); err != nil {
		return chip.Identity{}, err
	}
	return l.Identify(ctx)
}

// connected is a loader whose chip has just been connected: the procedure need
// not reset it once more, nor ask again who it is.
type connected struct {
	*esploader.Loader
	id   *chip.Identity // nil once it was told
	used bool
}

func (c *connected) Connect(ctx context.Context) error {
	if !c.used {
		c.used = true
		return nil
	}
	c.id = nil
	return c.Loader.Connect(ctx)
}

func (c *connected) Identify(ctx context.Context) (chip.Identity, error) {
	if id := c.id; id != nil {
		c.id = nil
		return *id, nil
	}
	return c.Loader.Identify(ctx)
}
