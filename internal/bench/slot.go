package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"station/internal/esp32"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/port"
)

// How a slot looks for its next device.
const (
	lookEvery = 500 * time.Millisecond // at an absent port or an empty socket
	answerIn  = 2 * time.Second        // a device that is there answers within
)

// Slot is a place with a real port. With once, the port must be there and the
// device in it; otherwise the slot waits for both, as often as it is asked.
func Slot(name, portName string, reset flow.Reset, once bool) flow.Slot {
	s := &slot{port: portName, once: once, options: esploader.Options{Reset: string(reset)}}
	return flow.Slot{Name: name, Port: portName, Next: s.next, Again: func() { s.again.Store(true) }}
}

type slot struct {
	port    string
	once    bool
	options esploader.Options
	last    esp32.MAC // of the device that was here before
	empty   bool      // it has been taken out since
	again   atomic.Bool
}

func (s *slot) open() (*esploader.Loader, error) {
	p, err := port.Open(s.port)
	if err != nil {
		return nil, err
	}
	return esploader.New(p, s.options), nil
}

func (s *slot) next(ctx context.Context, removed func()) (flow.Loader, error) {
	if s.once {
		l, err := s.open()
		if err != nil {
			return nil, err
		}
		return l, nil
	}
	for {
		was := s.empty
		l, err := s.look(ctx)
		if s.empty && !was && !s.last.IsZero() {
			removed()
		}
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// look returns the next device if it is there now, and nil if not. A device
// that was here before is the next one only after it had been taken out.
func (s *slot) look(ctx context.Context) (flow.Loader, error) {
	l, err := s.open()
	switch {
	case errors.Is(err, esp32.ErrPortAbsent):
		s.empty = true
		return nil, nil
	case err != nil:
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	id, err := identify(ctx, l)
	switch {
	case err == nil && (s.again.Swap(false) || s.empty || id.MAC != s.last):
		s.last, s.empty = id.MAC, false
		return &connected{Loader: l}, nil
	case errors.Is(err, esp32.ErrNoAnswer), errors.Is(err, esp32.ErrPortGone), errors.Is(err, context.DeadlineExceeded):
		s.empty = true
	case err != nil && s.empty: // something is there that does not work: let the procedure name it
		s.empty = false
		return l, nil
	}
	l.Close()
	return nil, nil
}

func identify(ctx context.Context, l *esploader.Loader) (esp32.Identity, error) {
	if err := l.Connect(ctx); err != nil {
		return esp32.Identity{}, err
	}
	return l.Identify(ctx)
}

// connected is a loader whose chip has just been connected: the procedure's
// first Connect need not reset it once more.
type connected struct {
	*esploader.Loader
	used bool
}

func (c *connected) Connect(ctx context.Context) error {
	if !c.used {
		c.used = true
		return nil
	}
	return c.Loader.Connect(ctx)
}
