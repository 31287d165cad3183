package port

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
)

// patience is for what only a fault keeps from coming.
const patience = time.Minute

// listen serves one TCP connection and gives its server side.
func listen(t *testing.T) (address string, accepted <-chan net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c := make(chan net.Conn, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			c <- conn
		}
	}()
	return l.Addr().String(), c
}

func mustOpen(t *testing.T, name string) *Port {
	t.Helper()
	p, err := Host.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// exchange sends both ways, and looks at a deadline that passes.
func exchange(t *testing.T, p *Port, far io.ReadWriter) {
	t.Helper()
	sent := bytes.Repeat([]byte{0xc0, 0, 0x0a, 0x0d, 0xdb, 3, 0x11, 0x13, 0x7f, 0xff}, 30)
	if n, err := p.Write(sent); n != len(sent) || err != nil {
		t.Fatalf("write: %d, %v", n, err)
	}
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(far, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("far end: % x, %v", got, err)
	}
	if _, err := far.Write(sent); err != nil {
		t.Fatal(err)
	}
	if err := p.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(p, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("near end: % x, %v", got, err)
	}
	begin := time.Now()
	_ = p.SetReadDeadline(begin.Add(30 * time.Millisecond))
	if n, err := p.Read(got); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("silence: %d, %v", n, err)
	}
	if d := time.Since(begin); d < 25*time.Millisecond {
		t.Errorf("the deadline passed after %v, want 30ms", d)
	}
}

func TestSocket(t *testing.T) {
	address, accepted := listen(t)
	p := mustOpen(t, "socket://"+address)
	far := <-accepted
	exchange(t, p, far)
	if err := p.SetLines(true, false); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("lines: got %v, want ErrUnsupported", err)
	}
	if err := p.SetBaud(921600); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("speed: got %v, want ErrUnsupported", err)
	}
	if p.LinesTogether() {
		t.Error("a socket has lines")
	}

	far.Close()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, chip.ErrPortGone) || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("far end closed: got %v, want ErrPortGone", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if _, err := p.Read(make([]byte, 1)); !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after close: got %v, want ErrClosed", err)
	}
}

func TestCloseEndsARead(t *testing.T) {
	address, accepted := listen(t)
	p := mustOpen(t, "socket://"+address)
	<-accepted
	result := make(chan error, 1)
	go func() {
		_, err := p.Read(make([]byte, 1))
		result <- err
	}()
	p.Close()
	select {
	case err := <-result:
		if !errors.Is(err, os.ErrClosed) {
			t.Errorf("got %v, want ErrClosed", err)
		}
	case <-time.After(patience):
		t.Fatal("the read still waits")
	}
}

func TestNamesThatDoNotOpen(t *testing.T) {
	address, accepted := listen(t)
	mustOpen(t, "socket://"+address).Close()
	<-accepted
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close() // its number is free now

	for _, c := range []struct {
		name string
		is   error
		says string
	}{
		{"socket://" + l.Addr().String(), chip.ErrPortAbsent, "refused"},
		{"socket://localhost", nil, "socket://HOST:PORT"},
		{"socket://", nil, "socket://HOST:PORT"},
		{"rfc2217://" + l.Addr().String(), chip.ErrPortAbsent, "refused"},
		{"rfc2217://localhost", nil, "rfc2217://HOST:PORT"},
		{"rfc2217://localhost:1?poll_modem", nil, "?poll_modem"},
		{"ftp://x:1", nil, "unknown kind ftp://"},
		{"/dev/no-such-port", chip.ErrPortAbsent, "cable"},
		{"/dev/null/x", chip.ErrPortAbsent, "cable"},
		{"/dev/null", nil, "not a serial port"},
		{"", chip.ErrPortAbsent, "cable"},
	} {
		p, err := Host.Open(c.name)
		if err == nil {
			p.Close()
			t.Errorf("%q opened", c.name)
			continue
		}
		if c.is != nil && !errors.Is(err, c.is) {
			t.Errorf("%q: got %v, want %v", c.name, err, c.is)
		}
		if !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "port ") {
			t.Errorf("%q: %q does not say %q", c.name, err, c.says)
		}
	}
}
