package esploader

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
)

// One fault at each command of a write in turn: the flash holds the image in
// the end, and no more than a sector or an erase is done twice.
func TestFaultAtEachCommand(t *testing.T) {
	img := image(6*4096+1500, 8)
	faults := map[string]func(r *rom, op byte, reply []byte) [][]byte{
		"reply lost":    func(*rom, byte, []byte) [][]byte { return nil },
		"reply damaged": func(_ *rom, _ byte, reply []byte) [][]byte { return [][]byte{reply[:3], reply[4:]} },
		"checksum error": func(r *rom, op byte, reply []byte) [][]byte {
			if op != cmdFlashData.op {
				return [][]byte{reply}
			}
			return [][]byte{r.refuse(op, 7)} // and the block may be there or not
		},
		"half written": func(r *rom, op byte, reply []byte) [][]byte {
			if op != cmdFlashData.op {
				return [][]byte{reply}
			}
			for i := range 100 {
				r.flash[r.at-1-i] = 0
			}
			return [][]byte{r.refuse(op, 8)}
		},
	}
	for name, fault := range faults {
		for _, blank := range []bool{true, false} {
			for at := 0; ; at++ {
				r := newROM(t, 0x20000)
				if !blank {
					copy(r.flash, image(0x20000, 11))
				}
				hit := false
				connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
					r.fault = func(n int, op byte, reply []byte) [][]byte {
						if n != at {
							return [][]byte{reply}
						}
						hit = true
						return fault(r, op, reply)
					}
					s := write(t, ctx, r, l, 0x3000, img)
					if r.written > len(img)+2*4096 {
						t.Errorf("%s at %d: %d bytes written", name, at, r.written)
					}
					if l.Stats().Retries > 1 || s.Retries > 1 {
						t.Errorf("%s at %d: %+v", name, at, s)
					}
				})
				if !hit {
					break
				}
			}
		}
	}
}

// Requests that never arrive, one at a time.
func TestLostRequests(t *testing.T) {
	img := image(3*4096, 12)
	for lost := 0; ; lost++ {
		r := newROM(t, 0x10000)
		hit := false
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			r.lose = func(n int, _ byte) bool { hit = hit || n == lost; return n == lost }
			write(t, ctx, r, l, 0, img)
		})
		if !hit {
			break
		}
	}
}

// A bad line: any command may go wrong, one in ten does.
func TestBadLine(t *testing.T) {
	for seed := range uint64(20) {
		rnd := rand.New(rand.NewPCG(seed, 99))
		r := newROM(t, 0x40000)
		copy(r.flash, image(0x40000, seed))
		img := image(20*4096+int(rnd.Uint32N(4096)), seed+1000)
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			r.fault = func(n int, op byte, reply []byte) [][]byte {
				switch rnd.Uint32N(40) {
				case 0:
					return nil
				case 1:
					return [][]byte{reply[1:]}
				case 2:
					return [][]byte{reply[:len(reply)-1]}
				case 3:
					return [][]byte{reply, reply}
				}
				return [][]byte{reply}
			}
			write(t, ctx, r, l, 0x10000, img)
		})
	}
}

func TestFlashThatDoesNotHold(t *testing.T) {
	r := newROM(t, 0x10000)
	img := image(3*4096, 13)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.fault = func(_ int, op byte, reply []byte) [][]byte {
			r.flash[5000] = ^img[5000]
			return [][]byte{reply}
		}
		s, err := l.WriteFlash(ctx, 0, len(img), bytes.NewReader(img), nil)
		if !errors.Is(err, chip.ErrVerify) || s.Retries == 0 {
			t.Errorf("got %+v, %v", s, err)
		}
	})
}

func TestWritesThatEndInAnError(t *testing.T) {
	for name, c := range map[string]struct {
		arrange func(r *rom, cancel func())
		is      error
	}{
		"always refused":  {func(r *rom, _ func()) { refuse(r, cmdFlashData.op, 8) }, chip.ErrRefused},
		"line dead slow":  {func(r *rom, _ func()) { r.delay = 50 * time.Second }, chip.ErrNoAnswer},
		"begin refused":   {func(r *rom, _ func()) { refuse(r, cmdFlashBegin.op, 6) }, chip.ErrRefused},
		"MD5 refused":     {func(r *rom, _ func()) { refuse(r, cmdFlashMD5.op, 9) }, chip.ErrRefused},
		"chip dies":       {func(r *rom, _ func()) { r.lose = func(n int, _ byte) bool { return n > 3 } }, chip.ErrNoAnswer},
		"cable pulled":    {func(r *rom, _ func()) { r.fault = after(3, func() { r.gone = errors.New("EIO") }) }, chip.ErrPortGone},
		"station stopped": {func(r *rom, cancel func()) { r.fault = after(3, cancel) }, context.Canceled},
	} {
		r := newROM(t, 0x10000)
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			ctx, cancel := context.WithCancel(ctx)
			c.arrange(r, cancel)
			_, err := l.WriteFlash(ctx, 0x1000, 0x8000, bytes.NewReader(image(0x8000, 1)), nil)
			if !errors.Is(err, c.is) || !strings.HasPrefix(err.Error(), "write flash at 0x1000: ") {
				t.Errorf("%s: got %v, want %v", name, err, c.is)
			}
			if r.n > 40 {
				t.Errorf("%s: %d commands", name, r.n)
			}
		})
	}
}

func refuse(r *rom, refused, code byte) {
	r.fault = func(_ int, op byte, reply []byte) [][]byte {
		if op == refused {
			r.flash[0x1000] = 0x5a
			reply = r.refuse(op, code)
		}
		return [][]byte{reply}
	}
}

func after(commands int, f func()) func(int, byte, []byte) [][]byte {
	return func(n int, _ byte, reply []byte) [][]byte {
		if n == commands {
			f()
		}
		return [][]byte{reply}
	}
}

func TestWritesThatAreNotBegun(t *testing.T) {
	r := newROM(t, 0x10000)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		for name, f := range map[string]func() error{
			"unaligned": func() error {
				_, err := l.WriteFlash(ctx, 0x1010, 16, bytes.NewReader(make([]byte, 16)), nil)
				return err
			},
			"too large": func() error {
				_, err := l.WriteFlash(ctx, 0xfff000, 0x1001, bytes.NewReader(nil), nil)
				return err
			},
			"negative": func() error {
				_, err := l.WriteFlash(ctx, 0, -1, bytes.NewReader(nil), nil)
				return err
			},
			"odd blocks": func() error {
				_, err := New(r, Options{BlockSize: 0x300}).WriteFlash(ctx, 0, 1, bytes.NewReader([]byte{1}), nil)
				return err
			},
		} {
			if err := f(); err == nil {
				t.Errorf("%s: no error", name)
			}
		}
		if r.n != 0 {
			t.Errorf("%d commands were sent", r.n)
		}
		if _, err := l.WriteFlash(ctx, 0x1000, 4097, bytes.NewReader(make([]byte, 4096)), nil); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("image cut short: got %v", err)
		}
		if s, err := l.WriteFlash(ctx, 0x1000, 0, nil, nil); err != nil || s != (chip.WriteStats{}) {
			t.Errorf("nothing: got %+v, %v", s, err)
		}
	})
}
