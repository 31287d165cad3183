package outbox

import (
	"io"
	"net"
	"testing"
)

// cutter is a wire to the site that breaks after so many bytes in one direction; 0
// is never.
func cutter(t *testing.T, to string, up, down int64) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s, err := net.Dial("tcp", to)
			if err != nil {
				c.Close()
				return
			}
			go carry(s, c, up)
			go carry(c, s, down)
		}
	}()
	return "tls://" + l.Addr().String()
}

// carry carries bytes until one end closes, or its measure is full.
func carry(to, from net.Conn, most int64) {
	if most > 0 {
		_, _ = io.CopyN(to, from, most)
	} else {
		_, _ = io.Copy(to, from)
	}
	to.Close()
	from.Close()
}
