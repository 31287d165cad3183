//go:build !linux && !darwin && !freebsd && !openbsd

package port

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	"go.bug.st/serial"
)

// com is a serial device where the library is all there is. The system itself
// opens it exclusively.
type com struct {
	reader
	patience time.Duration
}

func openSerial(name string) (wire, error) {
	m := mode(initialBaud)
	m.InitialStatusBits = &serial.ModemOutputBits{}
	p, err := serial.Open(name, m)
	if err != nil {
		return nil, openError(err)
	}
	return &com{reader{port: p}, writePatience(initialBaud)}, nil
}

// SetLines sets DTR twice: some drivers carry a change of RTS out only
// together with one of DTR.
func (c *com) SetLines(dtr, rts bool) error {
	return errors.Join(c.port.SetDTR(dtr), c.port.SetRTS(rts), c.port.SetDTR(dtr))
}

func (c *com) SetBaud(baud int) error {
	c.patience = writePatience(baud)
	return setBaud(c.port, baud)
}

// Write gives up on a driver that does not return; the copy stays the
// driver's until it does, and is then overwritten.
func (c *com) Write(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	done := make(chan result, 1)
	own := bytes.Clone(p)
	go func() {
		n, err := c.port.Write(own)
		clear(own)
		done <- result{n, err}
	}()
	select {
	case r := <-done:
		return r.n, r.err
	case <-time.After(c.patience):
		return 0, fmt.Errorf("write: the port takes no bytes for %v", c.patience)
	}
}

func (c *com) Close() error { return c.port.Close() }

func isBusy(error) bool { return false }

func isAbsent(error) bool { return false }

func isGone(error) bool { return false }
