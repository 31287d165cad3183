//go:build linux || darwin || freebsd || openbsd

package port

import (
	"errors"
	"fmt"
	"time"

	"go.bug.st/serial"
	"golang.org/x/sys/unix"
)

// tty is a serial device, opened twice.
//
// The library reads and sets the speed through a file descriptor that it does
// not show, and it has neither a way to set DTR and RTS in one step nor a write
// that ends. A second descriptor of the same terminal has both: the modem
// lines and the output queue belong to the terminal, not to the descriptor. It
// is opened first, since the library then closes the terminal to others
// (TIOCEXCL), and it carries the lock that also keeps root out (flock).
type tty struct {
	reader
	fd       int
	hasLines bool
	patience time.Duration
}

func openSerial(name string) (wire, error) {
	t := &tty{patience: writePatience(initialBaud)}
	var err error
	if t.fd, err = unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
		return nil, openError(err)
	}
	if err := t.open(name); err != nil {
		_ = unix.Close(t.fd)
		return nil, openError(err)
	}
	return t, nil
}

func (t *tty) open(name string) error {
	if err := unix.Flock(t.fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	m := mode(initialBaud)
	// A pseudo terminal has no modem lines and answers ENOTTY; asked for an
	// initial state the library would then refuse to open it.
	if t.hasLines = t.SetLines(false, false) == nil; t.hasLines {
		m.InitialStatusBits = &serial.ModemOutputBits{}
	}
	var err error
	t.port, err = serial.Open(name, m)
	return err
}

// SetLines is one TIOCMSET with the other modem bits as they are: with the
// usual two transistors a state between the two would reset the chip.
func (t *tty) SetLines(dtr, rts bool) error {
	status, err := unix.IoctlGetInt(t.fd, unix.TIOCMGET)
	if err == nil {
		err = unix.IoctlSetPointerInt(t.fd, unix.TIOCMSET, withLines(status, dtr, rts))
	}
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("no modem lines: %w", errors.ErrUnsupported)
	}
	return err
}

func withLines(status int, dtr, rts bool) int {
	status &^= unix.TIOCM_DTR | unix.TIOCM_RTS
	if dtr {
		status |= unix.TIOCM_DTR
	}
	if rts {
		status |= unix.TIOCM_RTS
	}
	return status
}

func (*tty) LinesTogether() bool { return true }

func (t *tty) SetBaud(baud int) error {
	t.patience = writePatience(baud)
	return setBaud(t.port, baud)
}

func (t *tty) Write(p []byte) (int, error) {
	end := time.Now().Add(t.patience)
	for n := 0; ; {
		m, err := unix.Write(t.fd, p[n:])
		n += max(m, 0)
		switch {
		case n == len(p):
			return n, nil
		case err != nil && err != unix.EAGAIN && err != unix.EINTR:
			return n, fmt.Errorf("write: %w", err)
		}
		if err := t.waitWritable(time.Until(end)); err != nil {
			return n, fmt.Errorf("write: %w", err)
		}
	}
}

func (t *tty) waitWritable(d time.Duration) error {
	fds := []unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds, int(max(0, d.Milliseconds())))
	switch {
	case err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return fmt.Errorf("the port takes no bytes for %v", t.patience)
	case fds[0].Revents&(unix.POLLHUP|unix.POLLERR|unix.POLLNVAL) != 0:
		return unix.EIO
	}
	return nil
}

// Close gives the lock back by itself: it belongs to the open file, which a
// program that is being started holds too until it runs, and the next one to open
// the port would be told that it is taken.
func (t *tty) Close() error {
	err := errors.Join(t.port.Close(), unix.Flock(t.fd, unix.LOCK_UN))
	return errors.Join(err, unix.Close(t.fd))
}

func isBusy(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EWOULDBLOCK) }

func isAbsent(err error) bool {
	return errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOTDIR)
}

// isGone reports what the system says of a terminal that was hung up: its adapter
// was pulled, or the other end of a pseudo terminal is gone.
func isGone(err error) bool {
	return errors.Is(err, unix.EIO) || errors.Is(err, unix.ENXIO) || errors.Is(err, unix.ENODEV)
}
