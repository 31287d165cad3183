package esploader

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
)

func TestReadRegsInOneRoundTrip(t *testing.T) {
	r := newROM(t, 0)
	var addrs, want []uint32
	for i := range uint32(33) {
		addrs = append(addrs, 0x3ff5a000+4*i)
		want = append(want, i*0x01c0db01)
		r.regs[addrs[i]] = want[i]
	}
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		before := l.Stats()
		got, err := l.ReadRegs(ctx, addrs...)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %x, %v, want %x", got, err, want)
		}
		s := l.Stats()
		if n := s.RoundTrips - before.RoundTrips; n != 4 {
			t.Errorf("%d round trips for 33 registers, want 4", n)
		}
		if n := s.Commands["READ_REG"] - before.Commands["READ_REG"]; n != 33 {
			t.Errorf("%d commands, want 33", n)
		}
	})
	// The request or the reply of any one of them may be lost.
	for lost := range 12 {
		r := newROM(t, 0)
		for i := range addrs {
			r.regs[addrs[i]] = want[i]
		}
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			r.lose = func(n int, _ byte) bool { return n == lost }
			got, err := l.ReadRegs(ctx, addrs[:12]...)
			if err != nil || !slices.Equal(got, want[:12]) {
				t.Errorf("request %d lost: got %x, %v", lost, got, err)
			}
		})
	}
}

// What follows a frame at once must fit into the chip's FIFO, whatever the
// addresses.
func TestAWindowFitsTheFIFO(t *testing.T) {
	for addr, want := range map[uint32]int{0x3ff5a000: 9, 0x3ff5a0c0: 8, 0xdbc0dbc0: 7} {
		r := newROM(t, 0)
		connected(t, r, Options{}, func(_ context.Context, l *Loader) {
			l.frame = append(l.frame[:0], make([]byte, 500)...) // of a WRITE_REG
			n := l.frameReads(slices.Repeat([]uint32{addr}, 20))
			if n != want || len(l.frame)-500 > 128 {
				t.Errorf("%#x: %d reads in %d bytes, want %d in 128", addr, n, len(l.frame)-500, want)
			}
		})
	}
}

// Writes and the first reads after them cost one round trip.
func TestWriteRead(t *testing.T) {
	var addrs, want []uint32
	for i := range uint32(12) {
		addrs, want = append(addrs, 0x3ff5a000+4*i), append(want, 7*i)
	}
	fresh := func() *rom {
		r := newROM(t, 0)
		for i := range addrs {
			r.regs[addrs[i]] = want[i]
		}
		return r
	}
	write := chip.Set(0x3ff5a000, 9)
	want[0] = 9
	r := fresh()
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		before := l.Stats().RoundTrips
		got, err := l.WriteRead(ctx, []chip.RegWrite{write}, addrs...)
		if err != nil || !slices.Equal(got, want) {
			t.Fatalf("got %d, %v, want %d", got, err, want)
		}
		if n := l.Stats().RoundTrips - before; n != 2 {
			t.Errorf("%d round trips, want 2", n)
		}
		if _, err := l.WriteRead(ctx, []chip.RegWrite{write}, regMagic, 0); err == nil {
			t.Error("READ_REG 0: no error")
		}
	})
	// A reply to a read may be lost. Without the reply to the write nothing is
	// read, and the write is not repeated.
	for lost := range 13 {
		r := fresh()
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			r.fault = func(n int, _ byte, reply []byte) [][]byte {
				if n == lost {
					return nil
				}
				return [][]byte{reply}
			}
			got, err := l.WriteRead(ctx, []chip.RegWrite{write}, addrs...)
			switch {
			case lost == 0 && (got != nil || !errors.Is(err, chip.ErrNoAnswer) || !strings.Contains(err.Error(), "may have carried it out")):
				t.Errorf("write unanswered: got %d, %v", got, err)
			case lost > 0 && (err != nil || !slices.Equal(got, want)):
				t.Errorf("reply %d lost: got %d, %v", lost, got, err)
			}
			if n := l.Stats().Commands["WRITE_REG"]; n != 1 {
				t.Errorf("reply %d lost: written %d times", lost, n)
			}
			if v, err := l.ReadReg(ctx, regMagic); err != nil || v != chipMagic {
				t.Errorf("reply %d lost: next: got %#x, %v", lost, v, err)
			}
		})
	}
	// Nor after a refusal.
	r = fresh()
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.fault = once(cmdWriteReg.op, func(b []byte) [][]byte {
			b[len(b)-5], b[len(b)-4] = 1, badMessage
			return [][]byte{b}
		})
		if got, err := l.WriteRead(ctx, []chip.RegWrite{write}, addrs...); got != nil || !errors.Is(err, chip.ErrRefused) {
			t.Errorf("refused: got %d, %v", got, err)
		}
		if v, err := l.ReadReg(ctx, 0x3ff5a004); err != nil || v != 7 {
			t.Errorf("after a refusal: got %d, %v", v, err)
		}
	})
}

func TestWriteRegIsSentOnce(t *testing.T) {
	for name, arrange := range map[string]func(*rom){
		"request lost": func(r *rom) { r.lose = func(_ int, op byte) bool { return op == cmdWriteReg.op } },
		"reply lost":   func(r *rom) { r.fault = once(cmdWriteReg.op, func([]byte) [][]byte { return nil }) },
		"reply damaged": func(r *rom) {
			r.fault = once(cmdWriteReg.op, func(b []byte) [][]byte { return [][]byte{b[:4], b[6:]} })
		},
	} {
		r := newROM(t, 0)
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			arrange(r)
			err := l.WriteReg(ctx, chip.Set(0x3ff5a104, 2))
			if !errors.Is(err, chip.ErrNoAnswer) || !strings.Contains(err.Error(), "may have carried it out") {
				t.Errorf("%s: got %v", name, err)
			}
			if n := l.Stats().Commands["WRITE_REG"]; n != 1 {
				t.Errorf("%s: sent %d times", name, n)
			}
			if v, err := l.ReadReg(ctx, regMagic); err != nil || v != chipMagic {
				t.Errorf("%s: next: got %#x, %v", name, v, err)
			}
		})
	}
}

func TestWriteRegGroups(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.regs[8] = 0xffffffff
		err := l.WriteReg(ctx, chip.Set(4, 7), chip.RegWrite{Addr: 8, Value: 0, Mask: 0xff, Delay: 2 * time.Second}, chip.Set(12, 0xc0db))
		if err != nil || r.regs[4] != 7 || r.regs[8] != 0xffffff00 || r.regs[12] != 0xc0db {
			t.Errorf("got %#x %#x %#x, %v", r.regs[4], r.regs[8], r.regs[12], err)
		}
		if s := l.Stats(); s.Commands["WRITE_REG"] != 1 {
			t.Errorf("got %+v", s)
		}
		if err := l.WriteReg(ctx); err == nil {
			t.Error("no registers: no error")
		}
		if err := l.WriteReg(ctx, make([]chip.RegWrite, maxWrites+1)...); err == nil {
			t.Error("too many registers: no error")
		}
	})
}
