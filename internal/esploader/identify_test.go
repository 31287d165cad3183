package esploader

import (
	"context"
	"errors"
	"strings"
	"testing"

	"station/internal/chip"
)

func TestIdentify(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		before := l.Stats().RoundTrips
		id, err := l.Identify(ctx)
		if err != nil {
			t.Fatal(err)
		}
		mac, _ := chip.ParseMAC("24:0a:c4:01:02:03")
		want := chip.Identity{Chip: "esp32", MAC: mac, Revision: 300, Package: "ESP32-D0WDQ6-V3", Crystal: 40, FlashID: 0x1640ef, FlashSize: 4 << 20}
		if id != want {
			t.Errorf("got %+v, want %+v", id, want)
		}
		if n := l.Stats().RoundTrips - before; n != 11 {
			t.Errorf("%d round trips, want 11", n)
		}
		if r.regs[spiUser] != 0x80000001 || r.regs[spiUser2] != 0x70000005 {
			t.Error("the SPI registers are not as they were")
		}
	})
}

// Words of BLOCK0 as they are in chips; the first is a real chip's.
func TestIdentityFromFuses(t *testing.T) {
	for _, c := range []struct {
		w3, w5, w6, date uint32
		revision         chip.Revision
		pkg              string
		coding           chip.Coding
		pins             uint32
	}{
		{0x0000a200, 0x00100000, 4, 0x80000000, 300, "ESP32-D0WD-V3", chip.CodingNone, 0},
		{0, 0, 0, 0, 0, "ESP32-D0WDQ6", chip.CodingNone, 0},
		{0x8000, 0, 1, 0, 100, "ESP32-D0WDQ6", chip.Coding34, 0},
		{0x8001, 0, 3, 0, 100, "ESP32-S0WDQ6", chip.CodingNone, 0},
		{0x8201, 0x02100000, 2, 0, 202, "ESP32-S0WD", chip.CodingRepeat, 0},
		{0x8000, 0x01100000, 0, 0x80000000, 301, "ESP32-D0WDQ6-V3", chip.CodingNone, 0},
		{0, 0, 0, 0x80000000, 0, "ESP32-D0WDQ6", chip.CodingNone, 0},
		{0x0400, 0, 0, 0, 0, "ESP32-D2WD", chip.CodingNone, 0},
		{0x0800, 0, 0, 0, 0, "ESP32-U4WDH", chip.CodingNone, 0},
		{0x8a00, 0x00100000, 0, 0x80000000, 300, "ESP32-PICO-V3", chip.CodingNone, 0},
		{0x0ab0, 16<<15 | 8<<10 | 17<<5 | 6, 0, 0, 0, "ESP32-PICO-D4", chip.CodingNone, 11<<24 | 16<<18 | 8<<12 | 17<<6 | 6},
		{0x0c00, 0, 0, 0, 0, "ESP32-PICO-V3-02", chip.CodingNone, 0},
		{0x0e00, 0, 0, 0, 0, "ESP32-D0WDR2-V3", chip.CodingNone, 0},
		{0x0004, 0, 0, 0, 0, "ESP32 (package 8)", chip.CodingNone, 0},
	} {
		w := block0{3: c.w3, 5: c.w5, 6: c.w6}
		rev := w.revision(c.date)
		if rev != c.revision || w.pkg(rev) != c.pkg || w.coding() != c.coding || w.flashPins() != c.pins {
			t.Errorf("%+v: got %v, %s, %v, %#x", c, rev, w.pkg(rev), w.coding(), w.flashPins())
		}
	}
	w := block0{1: 0x7e5a6e58, 2: 0x00e294b9}
	if mac, crc := w.mac(); mac.String() != "94:b9:7e:5a:6e:58" || crc != 0xe2 || mac.CRC8() != crc {
		t.Errorf("got %v, %#x", mac, crc)
	}
}

func TestCrystal(t *testing.T) {
	for _, c := range []struct {
		div  uint32
		baud int
		want int
	}{{0x15a, 115200, 40}, {0xa05a, 921, 40}, {226, 115200, 26}, {0xff00000 | 347, 115200, 40}, {28, 921600, 26}} {
		if got := crystal(c.div, c.baud); got != c.want {
			t.Errorf("divider %d at %d: got %d, want %d", c.div, c.baud, got, c.want)
		}
	}
}

func TestFlashSizes(t *testing.T) {
	for id, want := range map[uint32]uint32{
		0x1640ef: 4 << 20, 0x1840ef: 16 << 20, 0x1220c2: 256 << 10, 0x1c20c2: 256 << 20, 0x2020c2: 64 << 20,
		0x3225c2: 256 << 10, 0x3a25c2: 64 << 20, 0x00841f: 512 << 10, 0x00891f: 16 << 20, 0x008a1f: 0, 0x0040ef: 0, 0x1140ef: 0,
	} {
		if got := flashSize(id); got != want {
			t.Errorf("%06x: got %d, want %d", id, got, want)
		}
	}
}

func TestDamagedMAC(t *testing.T) {
	r := newROM(t, 0)
	r.regs[regFuses+8] ^= 0x10000
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		id, err := l.Identify(ctx)
		if !errors.Is(err, chip.ErrMACCRC) || !strings.Contains(err.Error(), "24:0a:c4:01:02:03") || id.Revision != 300 {
			t.Errorf("got %+v, %v", id, err)
		}
	})
}

func TestFlashThatDoesNotAnswer(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.regs[spiW0] = 0
		r.fault = func(n int, op byte, reply []byte) [][]byte { // as if the flash answered with ones
			return [][]byte{strReplace(reply, "\xef\x40\x16\x00", "\xff\xff\xff\x00")}
		}
		id, err := l.Identify(ctx)
		if !errors.Is(err, chip.ErrFlashID) || id.MAC.IsZero() {
			t.Errorf("got %+v, %v", id, err)
		}
	})
}

func strReplace(b []byte, from, to string) []byte {
	return []byte(strings.ReplaceAll(string(b), from, to))
}

func TestSetBaud(t *testing.T) {
	for _, lost := range []int{-1, 0, 1, 2, 3} {
		r := newROM(t, 0)
		r.chunk = lost & 1 // the two C0 before the change come one by one
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			r.lose = func(n int, op byte) bool { return n == lost && op != cmdChangeBaud.op }
			if err := l.SetBaud(ctx, 921600); err != nil {
				t.Fatalf("request %d lost: %v", lost, err)
			}
			if r.hostBaud != 921600 || r.chipBaud != 921600 {
				t.Errorf("host at %d, chip at %d", r.hostBaud, r.chipBaud)
			}
			before := r.n
			if err := l.SetBaud(ctx, 921600); err != nil || r.n != before {
				t.Errorf("again: %v, %d commands", err, r.n-before)
			}
		})
	}
}

// The ROM of a chip that measured its crystal wrongly is told another number,
// so that it sets the right speed.
func TestSetBaudCorrectsTheROM(t *testing.T) {
	for _, c := range []struct {
		baud      int
		cal, ck8m uint32
		want      int
	}{
		{921600, 0, 0, 921600},                   // never measured
		{921600, 2000 << 7, 0x33, 918000},        // 39.84 MHz
		{115200, 2048 << 7, 0x33, 117504},        // 40.8 MHz
		{921600, 1300 << 7, 0x33, 917_999},       // 25.9 MHz
		{921600, 0xffffffff, 0xff, 921600},       // nonsense
		{460800, 2000<<7 | 0x7f, 0x1133, 459000}, // other bits do not count
	} {
		if got := romBaud(c.baud, c.cal, c.ck8m); got != c.want {
			t.Errorf("%d with %#x, %#x: got %d, want %d", c.baud, c.cal, c.ck8m, got, c.want)
		}
	}
	r := newROM(t, 0)
	r.regs[regCalRC], r.regs[regFuses+16] = 2000<<7, 0x33
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		if err := l.SetBaud(ctx, 921600); err == nil {
			t.Error("a chip at another speed answered")
		}
		if !strings.Contains(string(r.log), string(appendChangeBaud(nil, 918000))) {
			t.Error("the ROM was told another speed")
		}
	})
}

// Through a port with a speed of its own the speed stays, and the crystal is
// known by the ROM's measurement: the divider stands for a speed unknown here.
func TestPortWithItsOwnSpeed(t *testing.T) {
	for crystal, cal := range map[int]uint32{40: 2000, 26: 1300} {
		r := newROM(t, 0)
		r.ownSpeed = true
		r.regs[regClkdiv] = uint32(crystal) * 1e6 / 230400
		r.regs[regCalRC], r.regs[regFuses+16] = cal<<7, 0x33
		connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
			if err := l.SetBaud(ctx, 921600); !errors.Is(err, errors.ErrUnsupported) || len(r.log) != 0 {
				t.Errorf("got %v, sent % x", err, r.log)
			}
			if id, err := l.Identify(ctx); err != nil || id.Crystal != crystal {
				t.Errorf("got %+v, %v, want a crystal of %d MHz", id, err, crystal)
			}
		})
	}
}

// An adapter that cannot do a speed: the station goes back to 115200.
func TestSpeedThatDoesNotWork(t *testing.T) {
	r := newROM(t, 0)
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.fault = once(cmdChangeBaud.op, func(reply []byte) [][]byte {
			r.chipBaud = 1
			return [][]byte{reply}
		})
		err := l.SetBaud(ctx, 2000000)
		if !errors.Is(err, chip.ErrNoAnswer) || !strings.Contains(err.Error(), "set 2000000 baud") {
			t.Errorf("got %v", err)
		}
		if r.hostBaud != InitialBaud {
			t.Errorf("the station is at %d baud", r.hostBaud)
		}
		if err := l.Connect(ctx); err != nil {
			t.Errorf("connecting anew: %v", err)
		}
		if err := l.SetBaud(ctx, 460800); err != nil {
			t.Errorf("a slower speed: %v", err)
		}
	})
}

func TestReadFlash(t *testing.T) {
	r := newROM(t, 0x2000)
	for i := range r.flash {
		r.flash[i] = byte(i * 5)
	}
	connected(t, r, Options{}, func(ctx context.Context, l *Loader) {
		r.lose = func(n int, _ byte) bool { return n == 1 }
		got := make([]byte, 200)
		if err := l.ReadFlash(ctx, 0x1001, got); err != nil || string(got) != string(r.flash[0x1001:0x1001+200]) {
			t.Errorf("got % x, %v", got, err)
		}
		if _, err := l.FlashMD5(ctx, 0x1000, 0x1001); !refusedWith(err, 9) {
			t.Errorf("MD5 past the end: %v", err)
		}
		if err := l.SetFlashSize(ctx, 32<<20); err != nil || !strings.Contains(string(r.log), string(appendSPISetParams(nil, 16<<20))) {
			t.Errorf("32 MiB: %v", err)
		}
	})
}
