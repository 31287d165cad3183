package esploader

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/port"
	"station/internal/racetest"
	"station/internal/sim"
)

// virtual runs f with the loader of a virtual chip, not yet connected.
func virtual(t *testing.T, o sim.Options, opts Options, f func(ctx context.Context, c *sim.Chip, l *Loader)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c, err := sim.New(o)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		l := New(p, opts)
		defer l.Close()
		f(t.Context(), c, l)
	})
}

func TestVirtualChips(t *testing.T) {
	for _, c := range []struct {
		o        sim.Options
		revision chip.Revision
		pkg      string
		coding   chip.Coding
	}{
		{sim.Options{}, 300, "ESP32-D0WD-V3", chip.CodingNone},
		{sim.Options{Revision: sim.Rev0, Package: 2, FlashSize: 2 << 20}, 0, "ESP32-D2WD", chip.CodingNone},
		{sim.Options{Revision: 1, Coding: 1, Crystal: 26}, 100, "ESP32-D0WD", chip.Coding34},
		{sim.Options{Revision: 3, FlashSize: 16 << 20, Drift: 0.03}, 300, "ESP32-D0WD-V3", chip.CodingNone},
		{sim.Options{Revision: 3, Crystal: 26, Drift: -0.03}, 300, "ESP32-D0WD-V3", chip.CodingNone},
	} {
		virtual(t, c.o, Options{}, func(ctx context.Context, device *sim.Chip, l *Loader) {
			if err := l.Connect(ctx); err != nil {
				t.Fatalf("%+v: %v", c.o, err)
			}
			for _, baud := range []int{115200, 460800, 921600, 2000000} {
				if err := l.SetBaud(ctx, baud); err != nil {
					t.Errorf("%+v: %v", c.o, err)
				}
			}
			id, err := l.Identify(ctx)
			if err != nil {
				t.Fatalf("%+v: %v", c.o, err)
			}
			want := chip.Identity{
				Chip: "esp32", MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, Revision: c.revision, Package: c.pkg, Crystal: max(c.o.Crystal, 40*(1-c.o.Crystal/26)),
				Coding: c.coding, FlashID: id.FlashID, FlashSize: uint32(max(c.o.FlashSize, 4<<20*bit(c.o.FlashSize == 0))), Simulated: true,
			}
			if id != want {
				t.Errorf("got %+v, want %+v", id, want)
			}
		})
	}
}

// A reply has no checksum. Any bit of any value may be wrong once, and the chip
// is taken for what it is.
func TestIdentityThroughAWireThatChangesABit(t *testing.T) {
	var want chip.Identity
	n := 0
	virtual(t, sim.Options{MAC: [6]byte{2, 0, 0, 1, 2, 3}}, Options{}, func(ctx context.Context, c *sim.Chip, l *Loader) {
		if err := l.Connect(ctx); err != nil {
			t.Fatal(err)
		}
		before := c.Meter()
		want, _ = l.Identify(ctx)
		n = c.Meter().Since(before).Commands["READ_REG"]
	})
	if n < 20 {
		t.Fatalf("%d registers read", n)
	}
	var cases racetest.Sample
	for at := range n {
		for bit := range 32 {
			if cases.Out(17) {
				continue
			}
			virtual(t, sim.Options{MAC: [6]byte{2, 0, 0, 1, 2, 3}}, Options{}, func(ctx context.Context, c *sim.Chip, l *Loader) {
				if err := l.Connect(ctx); err != nil {
					t.Fatal(err)
				}
				if err := c.Inject(sim.Fault{Kind: sim.ChangeReply, Op: 0x0a, At: 1 + at, Byte: 5 + bit/8, XOR: 1 << (bit % 8)}); err != nil {
					t.Fatal(err)
				}
				if id, err := l.Identify(ctx); err != nil || id != want {
					t.Errorf("bit %d of value %d: got %+v, %v", bit, at, id, err)
				}
			})
		}
	}
}

func TestVirtualChipIsWrittenAndStarted(t *testing.T) {
	virtual(t, sim.Options{}, Options{}, func(ctx context.Context, c *sim.Chip, l *Loader) {
		if err := errors.Join(l.Connect(ctx), l.SetBaud(ctx, 921600)); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Identify(ctx); err != nil {
			t.Fatal(err)
		}
		img := image(300_001, 21)
		before := c.Meter()
		s, err := l.WriteFlash(ctx, 0x10000, len(img), bytes.NewReader(img), nil)
		if err != nil || !bytes.Equal(c.Flash()[0x10000:0x10000+len(img)], img) {
			t.Fatalf("got %+v, %v", s, err)
		}
		m := c.Meter().Since(before)
		if m.SectorsErased != 0 || m.RoundTrips != 2+2+74 || m.FlashBlocks != 74 || m.BytesIn > len(img)*103/100 {
			t.Errorf("it cost %+v", m)
		}
		before = c.Meter()
		if _, err = l.WriteFlash(ctx, 0x10000, len(img), bytes.NewReader(img), nil); err != nil {
			t.Fatal(err)
		}
		if m := c.Meter().Since(before); m.RoundTrips != 1 || m.PagesProgrammed != 0 {
			t.Errorf("again it cost %+v", m)
		}
		log, err := l.Boot(ctx, func(log []byte) bool { return bytes.Contains(log, []byte("invalid header")) })
		if err != nil || !strings.Contains(string(log), "POWERON_RESET") {
			t.Errorf("boot: %q, %v", log, err)
		}
		if err := l.Connect(ctx); err != nil {
			t.Errorf("back into the loader: %v", err)
		}
		c.Unplug()
		if _, err := l.ReadReg(ctx, regMagic); !errors.Is(err, chip.ErrPortGone) {
			t.Errorf("unplugged: %v", err)
		}
	})
}

// The same over a real socket and a real pseudo terminal, on the real clock.
func TestOverRealPorts(t *testing.T) {
	for _, kind := range []string{"socket", "pty"} {
		c, err := sim.New(sim.Options{NoLines: true, InLoader: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		p, err := port.Host.Open(serve(t, kind, c))
		if err != nil {
			t.Fatal(err)
		}
		l := New(p, Options{ByHand: func(what string, _ time.Time) {
			if what == ToApp {
				c.PressReset(false)
			}
		}})
		defer l.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		if err := l.Connect(ctx); err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		if err := l.SetBaud(ctx, 921600); (err != nil) != (kind == "socket") || err != nil && !errors.Is(err, errors.ErrUnsupported) {
			t.Fatalf("%s: %v", kind, err)
		}
		if id, err := l.Identify(ctx); err != nil || id.FlashSize != 4<<20 {
			t.Errorf("%s: %+v, %v", kind, id, err)
		}
		img := image(200_000, 24)
		if _, err := l.WriteFlash(ctx, 0x10000, len(img), bytes.NewReader(img), nil); err != nil || !bytes.Equal(c.Flash()[0x10000:][:len(img)], img) {
			t.Errorf("%s: %v", kind, err)
		}
		if s := l.Stats(); s.Retries+s.Resyncs != 0 {
			t.Errorf("%s: %+v", kind, s)
		}
		log, err := l.Boot(ctx, func(log []byte) bool { return bytes.Contains(log, []byte("invalid header")) })
		if err != nil || !bytes.HasPrefix(log, []byte("ets ")) {
			t.Errorf("%s: boot: %q, %v", kind, log, err)
		}
		c.Unplug()
		_ = p.SetReadDeadline(time.Now().Add(time.Minute))
		for buf := make([]byte, 4096); err == nil; { // what it said before may still come
			_, err = p.Read(buf)
		}
		if !errors.Is(err, chip.ErrPortGone) {
			t.Errorf("%s: unplugged: got %v", kind, err)
		}
	}
}

func serve(t *testing.T, kind string, c *sim.Chip) (name string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	if kind == "pty" {
		p, err := c.ServePTY(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return p.Path
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = c.Serve(ctx, listener) }()
	return "socket://" + listener.Addr().String()
}

// Every fault of the wire at every command of a session: it ends with the
// right identity and the right flash, or with an error. Never with a lie.
func TestVirtualFaults(t *testing.T) {
	img := image(3*4096+700, 22)
	used := image(0x20000, 23)
	copy(used[0x9000:], img[:4096])
	hung, apart := 0, 8
	if racetest.Enabled {
		apart = 2
	}
	for _, f := range []sim.Fault{
		{Kind: sim.DropFrame}, {Kind: sim.DoubleFrame}, {Kind: sim.DropReply}, {Kind: sim.DoubleReply},
		{Kind: sim.DropReplyByte, Byte: 5}, {Kind: sim.DropReplyByte, Byte: 0}, {Kind: sim.DropReplyByte, Byte: -1},
		{Kind: sim.DoubleReplyByte, Byte: 3}, {Kind: sim.CutReply, Byte: 7}, {Kind: sim.StaleReply}, {Kind: sim.StubReply},
		{Kind: sim.ForeignReply, Data: []byte{0xc0, 1, 0x13, 4, 0, 0, 0, 0, 0, 1, 5, 0, 0, 0xc0}},
		{Kind: sim.TextReply, Text: "E (99) wifi: noise\r\n"}, {Kind: sim.LateReply, Delay: 3500 * time.Millisecond},
		{Kind: sim.ChangeByte, Byte: 60}, {Kind: sim.DropByte, Byte: 60}, {Kind: sim.DoubleByte, Byte: 61},
		{Kind: sim.LieMD5}, {Kind: sim.Silence}, {Kind: sim.Vanish}, {Kind: sim.CutAfter},
	} {
		for at := 1; ; at += 1 + at/apart {
			f.At = at
			end := false
			virtual(t, sim.Options{Flash: used, FlashSize: 1 << 20}, Options{}, func(ctx context.Context, c *sim.Chip, l *Loader) {
				if err := l.Connect(ctx); err != nil {
					t.Fatal(err)
				}
				before := c.Meter().RoundTrips
				if err := c.Inject(f); err != nil {
					t.Fatal(err)
				}
				id, err := l.Identify(ctx)
				if err == nil && (id.MAC != chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3} || id.Revision != 300 || id.FlashSize != 1<<20) {
					t.Errorf("%s at %d: got %+v", f.Kind, at, id)
				}
				if err == nil {
					_, err = l.WriteFlash(ctx, 0x9000, len(img), bytes.NewReader(img), nil)
				}
				if got := c.Flash()[0x9000:][:len(img)]; err == nil && !bytes.Equal(got, img) {
					t.Errorf("%s at %d: the flash is wrong, and nobody says so", f.Kind, at)
				}
				known := errors.Is(err, chip.ErrNoAnswer) || errors.Is(err, chip.ErrPortGone)
				if err != nil && !known {
					t.Errorf("%s at %d: got %v", f.Kind, at, err)
				}
				// A register written to another address may hang the chip, too.
				fatal := f.Kind == sim.Silence || f.Kind == sim.Vanish || f.Kind == sim.CutAfter ||
					f.Byte >= 60 && strings.Contains(fmt.Sprint(err), "WRITE_REG")
				if err != nil && !fatal {
					hung++
					t.Logf("%s at %d: %v", f.Kind, at, err)
				}
				end = c.Meter().RoundTrips-before < at || at > 60
			})
			if end {
				break
			}
		}
	}
	if hung > 0 {
		t.Errorf("%d faults ended a session that could go on", hung)
	}
}

func ExampleLoader() {
	c, _ := sim.New(sim.Options{})
	defer c.Close()
	p, _ := c.Open()
	l := New(p, Options{})
	defer l.Close()
	ctx := context.Background()
	if err := l.Connect(ctx); err != nil {
		fmt.Println(err)
		return
	}
	id, err := l.Identify(ctx)
	fmt.Println(id.MAC, id.Package, id.Revision, id.FlashSize>>20, err)
	// Output: 24:0a:c4:01:02:03 ESP32-D0WD-V3 v3.0 4 <nil>
}
