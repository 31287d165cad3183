package sim

import (
	"bufio"
	"context"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// serveTCP serves a chip until the test ends.
func serveTCP(t *testing.T, c *Chip) (addr string) { return serve(t, c.Serve) }

func serve(t *testing.T, by func(context.Context, net.Listener) error) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- by(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// patience is for what only a fault keeps from coming.
const patience = time.Minute

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return conn
}

// exchange writes a frame and reads an answer of n bytes.
func exchange(t *testing.T, rw io.ReadWriter, frame string, n int) []byte {
	t.Helper()
	if _, err := rw.Write(unhex(t, frame)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(rw, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// A socket without lines: the chip stays between clients, and someone else's
// hand resets it into the application.
func TestServeTCP(t *testing.T) {
	c := encryptedChip(t, 1, Options{NoLines: true, InLoader: true})
	addr := serveTCP(t, c)
	conn := dial(t, addr)
	exchange(t, conn, syncFrame, 8*14)
	exchange(t, conn, "c00009100000000000"+"0000fb3f"+"2a000000"+"ffffffff"+"00000000"+"c0", 14)
	// Two rates later the wire still follows.
	exchange(t, conn, "c0000f080000000000"+"00100e00"+"00000000"+"c0", 16)
	exchange(t, conn, magicFrame, 14)

	second := dial(t, addr)
	if n, err := second.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a second client: got %d, %v", n, err)
	}
	conn.Close()
	conn = dial(t, addr)
	if got := exchange(t, conn, "c0000a040000000000"+"0000fb3f"+"c0", 14); got[5] != 42 {
		t.Errorf("the chip was reset between clients: % x", got)
	}
	c.PressReset(false)
	lines := bufio.NewScanner(conn)
	for lines.Scan() && !strings.Contains(lines.Text(), "station-example: ready") {
	}
	if lines.Err() != nil {
		t.Errorf("the application's ready line: %v", lines.Err())
	}
	c.Unplug()
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Errorf("unplugged: %v", err)
	}
	if _, err := dial(t, addr).Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("while unplugged: got %v", err)
	}
}

func TestServePTY(t *testing.T) {
	c := newChip(t, Options{InLoader: true, NoLines: true})
	ctx, cancel := context.WithCancel(t.Context())
	pty, err := c.ServePTY(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // a client that leaves and comes back
		f, err := os.OpenFile(pty.Path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		got := exchange(t, f, magicFrame, 14)
		if string(got[5:9]) != "\x83\x1d\xf0\x00" {
			t.Errorf("got % x", got)
		}
		f.Close()
	}
	cancel()
	pty.Wait()
	if _, err := c.Open(); err != nil {
		t.Errorf("the port is still taken: %v", err)
	}
}

func TestControl(t *testing.T) {
	a, b := newChip(t, Options{}), newChip(t, Options{})
	var out strings.Builder
	resets := a.Meter().Resets
	err := Control(strings.NewReader("loader\n\nboot 2\noff 1\nunplug 2\njump\nboot 3\nboot 1 2\n"), &out, a, b)
	if err != nil {
		t.Fatal(err)
	}
	want := "ok\nok\nok\nok\n" +
		`"jump": want boot, loader, off, on, unplug, replug or healthy` + "\n" +
		`chip "3": there are 2 chips, counted from 1` + "\n" +
		`"boot 1 2": one chip number at most` + "\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
	if a.Meter().Resets != resets+1 || b.Meter().Resets != resets+2 || a.Powered() || b.plugged() {
		t.Errorf("resets %d and %d, powered %v, plugged %v", a.Meter().Resets, b.Meter().Resets, a.Powered(), b.plugged())
	}
	if err := Control(strings.NewReader("on\nreplug\nhealthy\n"), &out, a, b); err != nil || !a.Powered() || !b.plugged() {
		t.Errorf("got %v, powered %v, plugged %v", err, a.Powered(), b.plugged())
	}
}

// plugged reports whether the cable is in and the adapter there.
func (c *Chip) plugged() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.gone
}
