package esploader

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/sim"
)

// bounded is a port that may be asked to read only so often. Whoever goes
// round without end asks without end, even where nothing is sent.
type bounded struct {
	*sim.Port
	t     *testing.T
	calls int
}

func (b *bounded) SetReadDeadline(at time.Time) error {
	if b.calls++; b.calls > 10_000 {
		b.t.Error("the loader goes round without end")
		return os.ErrClosed
	}
	return b.Port.SetReadDeadline(at)
}

// A chip that starts anew in its loader, at any moment, answers as if nothing
// had happened and has forgotten everything. Each operation ends with an error
// that says so.
func TestRestartsIntoTheLoader(t *testing.T) {
	fuses := make([]uint32, 33)
	for i := range fuses {
		fuses[i] = regFuses + 4*uint32(i%7)
	}
	for name, op := range map[string]func(ctx context.Context, l *Loader) error{
		"read registers": func(ctx context.Context, l *Loader) error {
			_, err := l.ReadRegs(ctx, fuses...)
			return err
		},
		"write and read registers": func(ctx context.Context, l *Loader) error {
			_, err := l.WriteRead(ctx, []chip.RegWrite{chip.Set(spiW0, 1)}, fuses...)
			return err
		},
		"write flash": func(ctx context.Context, l *Loader) error {
			_, err := l.WriteFlash(ctx, 0x10000, 40_000, strings.NewReader(strings.Repeat("x", 40_000)), nil)
			return err
		},
		"erase flash": func(ctx context.Context, l *Loader) error {
			_, err := l.EraseFlash(ctx, 0x10000, 0x20000, nil)
			return err
		},
	} {
		for _, kind := range []sim.Kind{sim.RestartLoader, sim.RestartApp} {
			for at := 0; ; at++ {
				if ended := restarted1(t, kind, at, op); ended {
					if at < 3 {
						t.Errorf("%s: only %d commands", name, at)
					}
					break
				}
			}
		}
	}
}

// dirty is a flash where every sector has to be erased.
var dirty = make([]byte, 1<<20)

// restarted1 is one operation of a chip that restarts before its command at
// (from 0). It reports whether the operation had ended by then.
func restarted1(t *testing.T, kind sim.Kind, at int, op func(ctx context.Context, l *Loader) error) (ended bool) {
	synctest.Test(t, func(t *testing.T) {
		c, err := sim.New(sim.Options{Flash: dirty, FlashSize: len(dirty)})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		l := New(&bounded{Port: p, t: t}, Options{})
		defer l.Close()
		if err := l.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Identify(t.Context()); err != nil {
			t.Fatal(err)
		}
		if at == 0 {
			c.PressReset(kind == sim.RestartLoader)
		} else if err := c.Inject(sim.Fault{Kind: kind, At: at}); err != nil {
			t.Fatal(err)
		}
		before := l.Stats()
		err = op(t.Context(), l)
		after := l.Stats()
		if sent := after.RoundTrips - before.RoundTrips; sent > 100 {
			t.Errorf("%s before command %d: %d round trips", kind, at, sent)
		}
		if err != nil && (!errors.Is(err, chip.ErrNoAnswer) || !strings.Contains(err.Error(), "restarted")) {
			t.Errorf("%s before command %d: %v", kind, at, err)
		}
		ended = err == nil
	})
	return ended
}

// flood is a chip that never stops talking: it always has bytes, also past any
// deadline, and none of them is the answer.
type flood struct {
	*sim.Port
	text []byte
	t    *testing.T
	n    int
}

func (f *flood) Read(p []byte) (int, error) {
	if f.n++; f.n > 10_000 {
		f.t.Error("a flood is listened to without end")
		return 0, os.ErrClosed
	}
	time.Sleep(10 * time.Millisecond)
	return copy(p, f.text), nil
}

func TestAFloodIsNotListenedToForEver(t *testing.T) {
	for name, text := range map[string]string{
		"text":   "I (1234) app: hello\r\n",
		"frames": "\xc0\x01\x0a\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc0", // answers to nothing that was asked
		"open":   "\xc0aaaa",
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := sim.New(sim.Options{})
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				p, err := c.Open()
				if err != nil {
					t.Fatal(err)
				}
				l := New(&flood{Port: p, t: t, text: []byte(strings.Repeat(text, 100))}, Options{})
				defer l.Close()
				begin := time.Now()
				if err := l.Connect(t.Context()); !errors.Is(err, chip.ErrNoAnswer) {
					t.Errorf("got %v", err)
				}
				if d := time.Since(begin); d > time.Minute {
					t.Errorf("it took %v", d)
				}
			})
		})
	}
}
