package sim

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// PTY is a chip served on a pseudo-terminal.
type PTY struct {
	Path string // what a client opens, "/dev/pts/7"
	done chan struct{}
}

// Wait returns when the pseudo-terminal is gone: the context ended or the
// chip's cable was pulled.
func (p *PTY) Wait() { <-p.done }

// ServePTY offers the chip's port on a new pseudo-terminal until ctx ends. A
// pseudo-terminal has no modem lines; the client's baud rate is honoured.
func (c *Chip) ServePTY(ctx context.Context) (*PTY, error) {
	master, slave, err := openPTY()
	if err != nil {
		return nil, fmt.Errorf("make a pseudo-terminal: %w", err)
	}
	port, err := c.Open()
	if err != nil {
		master.Close()
		slave.Close()
		return nil, err
	}
	conn, err := slave.SyscallConn()
	if err != nil {
		port.Close()
		master.Close()
		slave.Close()
		return nil, fmt.Errorf("make a pseudo-terminal: %w", err)
	}
	port.tune = func() (baud float64) {
		conn.Control(func(fd uintptr) {
			if t, err := unix.IoctlGetTermios(int(fd), unix.TCGETS2); err == nil {
				baud = float64(t.Ospeed)
			}
		})
		return baud
	}
	p := &PTY{Path: slave.Name(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer slave.Close() // held open so that the master survives a client's leaving
		pump(ctx, master, port)
	}()
	return p, nil
}

// openPTY makes a pair in raw mode, without echo.
func openPTY() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			master.Close()
		}
	}()
	conn, err := master.SyscallConn()
	if err != nil {
		return nil, nil, err
	}
	var n int
	cerr := conn.Control(func(fd uintptr) {
		if n, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err == nil {
			err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0)
		}
	})
	if err == nil {
		err = cerr
	}
	if err != nil {
		return nil, nil, err
	}
	slave, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	if err = makeRaw(slave); err != nil {
		slave.Close()
		return nil, nil, err
	}
	return master, slave, nil
}

func makeRaw(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	cerr := conn.Control(func(fd uintptr) {
		var t *unix.Termios
		if t, err = unix.IoctlGetTermios(int(fd), unix.TCGETS2); err != nil {
			return
		}
		t.Iflag, t.Oflag, t.Lflag = 0, 0, 0
		t.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
		t.Ispeed, t.Ospeed = consoleBaud, consoleBaud
		t.Cc[unix.VMIN], t.Cc[unix.VTIME] = 1, 0
		err = unix.IoctlSetTermios(int(fd), unix.TCSETS2, t)
	})
	if err == nil {
		err = cerr
	}
	return err
}
