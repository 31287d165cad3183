package port

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"go.bug.st/serial"

	"station/internal/chip"
)

// reader gives go.bug.st/serial's Read a deadline and tells its two kinds of
// empty answer apart.
type reader struct {
	port     serial.Port
	deadline time.Time
}

func (r *reader) SetReadDeadline(t time.Time) error {
	r.deadline = t
	return nil
}

// Read waits for a byte. The library answers a timeout with no bytes and no
// error, and on some systems a hang-up alike: the clock tells which it was.
func (r *reader) Read(p []byte) (int, error) {
	for range 3 {
		timeout := serial.NoTimeout
		if !r.deadline.IsZero() {
			timeout = max(0, time.Until(r.deadline))
		}
		if err := r.port.SetReadTimeout(timeout); err != nil {
			return 0, err
		}
		n, err := r.port.Read(p)
		if n > 0 || err != nil {
			return n, err
		}
		const slack = 2 * time.Millisecond // of systems that count whole milliseconds
		if !r.deadline.IsZero() && time.Until(r.deadline) <= slack {
			return 0, os.ErrDeadlineExceeded
		}
	}
	return 0, io.ErrUnexpectedEOF
}

func mode(baud int) *serial.Mode { return &serial.Mode{BaudRate: baud, DataBits: 8} }

func setBaud(p serial.Port, baud int) error {
	if err := p.SetMode(mode(baud)); err != nil {
		return fmt.Errorf("set %d baud: %w", baud, err)
	}
	return nil
}

func openError(err error) error {
	var pe *serial.PortError
	code := serial.PortErrorCode(-1)
	if errors.As(err, &pe) {
		code = pe.Code()
	}
	switch {
	case code == serial.PortBusy || isBusy(err):
		return fmt.Errorf("%w: close it there, or take another port", chip.ErrPortBusy)
	case code == serial.PortNotFound || errors.Is(err, fs.ErrNotExist) || isAbsent(err):
		return fmt.Errorf("%w: check the cable and the name (station ports)", chip.ErrPortAbsent)
	case code == serial.PermissionDenied || errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: add this user to the group dialout and log in again", fs.ErrPermission)
	case code == serial.InvalidSerialPort:
		return fmt.Errorf("not a serial port: %w", err)
	}
	return err
}
