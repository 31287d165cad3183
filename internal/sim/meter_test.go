package sim

import (
	"bytes"
	"encoding/json"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestMeterCounts(t *testing.T) {
	c, h := loaderHost(t, Options{})
	before := c.Meter()
	h.reg(regMagic)
	h.send(0x77, 0, nil)
	h.burn(40, one("BLOCK1", 3))
	m := c.Meter().Since(before)
	want := map[string]int{"READ_REG": 1 + 2*(busyPolls+1), "WRITE_REG": 2 + 31 + 4, "unknown": 1}
	for name, n := range want {
		if m.Commands[name] != n {
			t.Errorf("%s: got %d, want %d", name, m.Commands[name], n)
		}
	}
	if len(m.Commands) != len(want) || m.RoundTrips != 2*(busyPolls+1)+39 || m.FuseBurns != 1 || m.FuseBits != 2 {
		t.Errorf("got %+v", m)
	}
	if m.BytesOut != 14*m.RoundTrips || m.BytesIn < 14*m.RoundTrips {
		t.Errorf("got %d bytes in, %d out for %d round trips", m.BytesIn, m.BytesOut, m.RoundTrips)
	}
}

// answers writes and waits for so many bytes.
func answers(t *testing.T, p *Port, tx []byte, n int) {
	t.Helper()
	if _, err := p.Write(tx); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p, make([]byte, n)); err != nil {
		t.Fatal(err)
	}
}

// synced is a chip in its loader that has answered a SYNC, at any pace.
func synced(t *testing.T, o Options) (*Chip, *Port) {
	t.Helper()
	o.InLoader = true
	c := newChip(t, o)
	p := openPort(t, c)
	answers(t, p, unhex(t, syncFrame), syncAnswers*14)
	return c, p
}

// Commands that the host sends without waiting cost one round trip, and one
// latency where the chip is paced.
func TestRoundTrips(t *testing.T) {
	for _, pace := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, p := synced(t, Options{Pace: pace, Times: Times{BitsPerByte: 10, RoundTrip: time.Second}})
			magic := unhex(t, magicFrame)
			before, begin := c.Meter(), time.Now()
			for range 3 {
				answers(t, p, bytes.Repeat(magic, 9), 9*14)
			}
			answers(t, p, magic, 14)
			m := c.Meter().Since(before)
			if m.RoundTrips != 4 || m.Commands["READ_REG"] != 28 {
				t.Errorf("paced %t: %d round trips, want 4", pace, m.RoundTrips)
			}
			if d := time.Since(begin); pace && (d < 4*time.Second || d > 5*time.Second) {
				t.Errorf("they took %v, want 4 s and the wire", d)
			}
		})
	}
}

// What the chip waits for the host is counted, and nothing else: neither the
// wire nor the time in reset.
func TestHostTime(t *testing.T) {
	for _, pace := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c, p := synced(t, Options{Pace: pace})
			before, magic := c.Meter(), unhex(t, magicFrame)
			answers(t, p, magic, 14)
			time.Sleep(10 * time.Millisecond)
			if got := c.Meter().Since(before).HostTime; got != 10*time.Millisecond {
				t.Errorf("paced %t, while it waits: got %v, want 10 ms", pace, got)
			}
			time.Sleep(20 * time.Millisecond)
			answers(t, p, magic, 14)
			time.Sleep(20 * time.Millisecond)
			p.SetLines(false, true)
			time.Sleep(100 * time.Millisecond)
			p.SetLines(true, false)
			time.Sleep(50 * time.Millisecond)
			p.SetLines(false, false)
			drain(p)
			answers(t, p, unhex(t, syncFrame), syncAnswers*14)
			if got := c.Meter().Since(before).HostTime; got != 50*time.Millisecond {
				t.Errorf("paced %t: got %v, want 50 ms", pace, got)
			}
		})
	}
}

func TestModel(t *testing.T) {
	m := Meter{
		BytesIn: 92160, BytesOut: 11520, ConsoleBytes: 11520, RoundTrips: 30, FlashBlocks: 20,
		PagesProgrammed: 100, EraseTime: time.Second, MD5Bytes: 1 << 20, FuseBurns: 2, times: DefaultTimes,
	}
	for _, s := range m.Model() {
		wire := 92160*10/float64(s.Baud) + 1 // the console stays at 115200
		overhead := 20*0.003 + 10*0.001 + 0.6 + 2*0.005
		if math.Abs(s.Wire-wire) > 1e-6 || math.Abs(s.Flash-1.055) > 1e-9 || math.Abs(s.Overhead-overhead) > 1e-9 ||
			math.Abs(s.Total-s.Wire-s.Flash-s.Overhead) > 1e-9 {
			t.Errorf("at %d: got %+v, want wire %.3f, overhead %.3f", s.Baud, s, wire, overhead)
		}
	}
	if got := len(m.Model()); got != 5 {
		t.Errorf("got %d rates", got)
	}
}

func TestEraseTime(t *testing.T) {
	times := Times{SectorErase: 1, BlockErase: 100}
	for _, c := range []struct {
		addr uint32
		n    int
		want time.Duration
	}{{0, 1, 1}, {0, 16, 100}, {0x1000, 16, 16}, {0xf000, 17 + 3, 1 + 100 + 3}, {0, 0, 0}} {
		if got := times.erase(c.addr, c.n); got != c.want {
			t.Errorf("%d sectors from %#x: got %d, want %d", c.n, c.addr, got, c.want)
		}
	}
}

func TestMeterAsJSON(t *testing.T) {
	c, h := loaderHost(t, Options{})
	h.flash(0, make([]byte, 0x1000))
	b, err := json.Marshal(c.Meter().Report())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"sectorsErased":1,`, `"pagesProgrammed":16,`, `"FLASH_DATA":1`, `"sectorEraseMs":45,`, `{"baud":921600,"wire":0.0`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
}
