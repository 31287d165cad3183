package port

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/port/porttest"
	"station/internal/sim"
)

// Servers that we did not write, with a virtual chip behind them.

// rfcChip serves a chip with lines by RFC 2217 until the test ends.
func rfcChip(t *testing.T) (url string) {
	t.Helper()
	c := newChip(t, sim.Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- c.ServeRFC2217(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return "rfc2217://" + l.Addr().String()
}

func newChip(t *testing.T, o sim.Options) *sim.Chip {
	t.Helper()
	c, err := sim.New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ptyChip serves a chip without lines, in its loader, on a pseudo-terminal.
func ptyChip(t *testing.T) (c *sim.Chip, device string) {
	t.Helper()
	c = newChip(t, sim.Options{NoLines: true, InLoader: true})
	ctx, cancel := context.WithCancel(t.Context())
	pty, err := c.ServePTY(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); pty.Wait() })
	return c, pty.Path
}

// work identifies the chip, raises the speed, and writes bytes of every value,
// 255 above all, which the chip itself verifies.
func work(t *testing.T, l *esploader.Loader) {
	t.Helper()
	if err := l.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, err := l.Identify(t.Context())
	if want := (chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}); err != nil || id.MAC != want {
		t.Fatalf("identity %+v, %v", id, err)
	}
	if err := l.SetBaud(t.Context(), 921600); err != nil {
		t.Fatal(err)
	}
	content := make([]byte, 3*4096)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	for i := 4096; i < 2*4096; i++ {
		content[i] |= byte(0xff << (i % 9))
	}
	if _, err := l.WriteFlash(t.Context(), 0x10000, len(content), bytes.NewReader(content), nil); err != nil {
		t.Fatal(err)
	}
}

// pyserial's own example server, which reaches the chip with pyserial's own
// client: DTR, RTS and baud rate go through both, and through our server.
func TestPyserialExampleServer(t *testing.T) {
	far := rfcChip(t)
	place := porttest.FreePort(t)
	_, number, _ := net.SplitHostPort(place)
	porttest.Start(t, porttest.Python(t, porttest.Example, far, "-p", number))
	// The server takes one client after the other, without looking whether the
	// last is still there: so ask the port itself.
	p := openWhenReady(t, "rfc2217://"+place)
	l := esploader.New(p, esploader.Options{})
	work(t, l)
	log, err := l.Boot(t.Context(), func(log []byte) bool { return bytes.Contains(log, []byte("invalid header")) })
	if err != nil || !bytes.Contains(log, []byte("SPI_FAST_FLASH_BOOT")) {
		t.Errorf("boot log %q, %v", log, err)
	}
}

// openWhenReady opens a server that may not listen yet.
func openWhenReady(t *testing.T, name string) *Port {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		p, err := Host.Open(name)
		if err == nil {
			t.Cleanup(func() { p.Close() })
			return p
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// pyserial's server on a terminal of the chip: the test is the fixture that
// follows DTR and RTS.
func TestPyserialServerOverPTY(t *testing.T) {
	chip, device := ptyChip(t)
	cmd := porttest.Python(t, "testdata/pty_server.py", device, "0")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	porttest.Start(t, cmd)
	lines := bufio.NewScanner(out)
	ready, found := "", false
	for !found && lines.Scan() {
		ready, found = strings.CutPrefix(lines.Text(), "ready ")
	}
	p := mustOpen(t, "rfc2217://127.0.0.1:"+ready)
	seen := make(chan []string, 1)
	go func() { seen <- follow(lines, chip) }()
	l := esploader.New(p, esploader.Options{})
	work(t, l)
	if _, err := l.Boot(t.Context(), func(log []byte) bool { return bytes.Contains(log, []byte("SPI_FAST_FLASH_BOOT")) }); err != nil {
		t.Error(err)
	}
	p.Close()
	got := strings.Join(<-seen, " ")
	// Released when opened, then into the loader, then into the application.
	want := "rts=0 dtr=0 rts=1 dtr=1 rts=0 dtr=0 rts=1 rts=0 speed=115200"
	if got != want {
		t.Errorf("the server's port saw %q, want %q", got, want)
	}
}

// follow is the circuit between a server's lines and the chip. It returns what
// the server printed.
func follow(lines *bufio.Scanner, chip *sim.Chip) (seen []string) {
	state := map[string]string{}
	for lines.Scan() {
		line, value, _ := strings.Cut(lines.Text(), " ")
		seen = append(seen, line+"="+value)
		if line == "rts" && value == "0" && state["rts"] == "1" {
			chip.PressReset(state["dtr"] == "1")
		}
		state[line] = value
	}
	return seen
}

// ser2net on a terminal without modem lines says nothing about them: the port
// has none, and the loader waits for a hand.
func TestSer2netOverPTY(t *testing.T) {
	_, device := ptyChip(t)
	name := porttest.Ser2net(t, device)
	p := mustOpen(t, name)
	if err := p.SetLines(true, false); err == nil {
		t.Error("a pseudo-terminal has lines")
	}
	work(t, esploader.New(p, esploader.Options{}))
	for _, baud := range []int{460800, 1500000, 2000000, 74880} {
		if err := p.SetBaud(baud); err != nil {
			t.Error(err)
		}
	}
}

// A device that is gone is an absent port, each time, and with the server's own
// words where they come: ser2net lets the system hold them back until what it sent
// before is acknowledged, and then resets the connection, which drops them.
func TestSer2netWithoutDevice(t *testing.T) {
	name := porttest.Ser2net(t, "/dev/pts/no-such")
	said := false
	for n := 0; n < 20 || !said; n++ {
		_, err := Host.Open(name)
		if !errors.Is(err, chip.ErrPortAbsent) {
			t.Fatalf("got %v", err)
		}
		said = said || strings.Contains(err.Error(), "open failure")
	}
}
