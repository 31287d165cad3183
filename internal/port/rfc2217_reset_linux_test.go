package port

import (
	"errors"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"station/internal/chip"
)

// Words that have come are told, also where the server resets the connection right
// behind them because it has not read what we sent.
func TestWordsBeforeAReset(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("\xff\xfd\x2cno such device\r\n"))
			bothArrived(t, c.(*net.TCPConn))
			c.Close() // with bytes that nobody has read: a reset
		}
	}()
	for range 50 {
		if _, err := Host.Open("rfc2217://" + l.Addr().String()); !errors.Is(err, chip.ErrPortAbsent) || !strings.Contains(err.Error(), "no such device") {
			t.Fatalf("got %v", err)
		}
	}
}

// bothArrived waits until the other end's system has all that was sent, and this
// one's has something from there.
func bothArrived(t *testing.T, c *net.TCPConn) {
	raw, err := c.SyscallConn()
	if err != nil {
		t.Error(err)
		return
	}
	_ = raw.Control(func(fd uintptr) {
		for out, in := 1, 0; (out > 0 || in == 0) && err == nil; {
			out, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ)
			if err == nil {
				in, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ)
			}
		}
	})
	if err != nil {
		t.Error(err)
	}
}
