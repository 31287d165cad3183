package port

import (
	"errors"
	"fmt"
	"net"
	"time"

	"station/internal/chip"
)

const dialTimeout = 3 * time.Second

// socket carries the bytes of a serial line and nothing else. The speed is what
// the other end has set, and there are no modem lines. Go's connections have TCP_NODELAY set, so a frame leaves at once.
type socket struct{ net.Conn }

func checkSocket(address string) error {
	return checkAddress("socket", address)
}

func dialSocket(address string) (wire, error) {
	c, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", chip.ErrPortAbsent, err)
	}
	return socket{c}, nil
}

func (s socket) Write(p []byte) (int, error) {
	if err := s.SetWriteDeadline(time.Now().Add(writePatience(initialBaud))); err != nil {
		return 0, err
	}
	n, err := s.Conn.Write(p)
	if err != nil {
		err = fmt.Errorf("write: %v", err) // not a read deadline, whatever net calls it
	}
	return n, err
}

func (socket) SetBaud(int) error {
	return fmt.Errorf("the other end of a socket has the speed: %w", errors.ErrUnsupported)
}

func (socket) SetLines(bool, bool) error {
	return fmt.Errorf("a socket has no modem lines: %w", errors.ErrUnsupported)
}
