//go:build linux || darwin || freebsd || openbsd

package port

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"go.bug.st/serial"
	"golang.org/x/sys/unix"

	"station/internal/chip"
)

// terminal gives the far end and the name of a pseudo terminal.
func terminal(t *testing.T) (far *os.File, name string) {
	t.Helper()
	far, near, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	name = near.Name()
	near.Close()
	t.Cleanup(func() { far.Close() })
	return far, name
}

func TestPseudoTerminal(t *testing.T) {
	far, name := terminal(t)
	p := mustOpen(t, name)
	exchange(t, p, far)
	for _, baud := range []int{460800, 921600, 1500000, 115200} {
		if err := p.SetBaud(baud); err != nil {
			t.Errorf("%d baud: %v", baud, err)
		}
		exchange(t, p, far)
	}
	if err := p.SetLines(true, true); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("lines: got %v, want ErrUnsupported", err)
	}
	if p.Name() != name || !p.LinesTogether() {
		t.Errorf("got %s, %v", p.Name(), p.LinesTogether())
	}
}

// A program that is being started holds what is open here until it runs.
func TestPortIsFreeOnceItIsClosed(t *testing.T) {
	_, name := terminal(t)
	p := mustOpen(t, name)
	held, err := unix.Dup(p.wire.(*tty).fd)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(held)
	p.Close()
	mustOpen(t, name)
}

// The library alone refuses a pseudo terminal with an initial line state: the
// reason why Open looks for lines first.
func TestLibraryRefusesLinesOfAPseudoTerminal(t *testing.T) {
	_, name := terminal(t)
	m := mode(initialBaud)
	m.InitialStatusBits = &serial.ModemOutputBits{}
	if p, err := serial.Open(name, m); err == nil {
		p.Close()
		t.Error("it opened: the detour is not needed any more")
	}
}

func TestPulledCable(t *testing.T) {
	far, name := terminal(t)
	p := mustOpen(t, name)
	result := make(chan error, 1)
	go func() {
		_ = p.SetReadDeadline(time.Now().Add(patience))
		_, err := p.Read(make([]byte, 64))
		result <- err
	}()
	far.Close()
	if err := <-result; !errors.Is(err, chip.ErrPortGone) {
		t.Errorf("read: got %v, want ErrPortGone", err)
	}
	if _, err := p.Read(make([]byte, 64)); !errors.Is(err, chip.ErrPortGone) {
		t.Errorf("next read: got %v, want ErrPortGone", err)
	}
	if _, err := p.Write([]byte{0xc0}); !errors.Is(err, chip.ErrPortGone) {
		t.Errorf("write: got %v, want ErrPortGone", err)
	}
	if err := p.SetBaud(921600); !errors.Is(err, chip.ErrPortGone) {
		t.Errorf("speed: got %v, want ErrPortGone", err)
	}
	if err := p.SetLines(true, false); !errors.Is(err, chip.ErrPortGone) {
		t.Errorf("lines: got %v, want ErrPortGone", err)
	}
}

func TestTwoStationsAtOnePort(t *testing.T) {
	_, name := terminal(t)
	p := mustOpen(t, name)
	if second, err := Host.Open(name); !errors.Is(err, chip.ErrPortBusy) {
		t.Errorf("second station: got %v, %v, want ErrPortBusy", second, err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Host.Open(name)
	if err != nil {
		t.Fatalf("after close: %v", err)
	}
	again.Close()
}

// A far end that takes nothing must not hold a station for ever.
func TestWriteEnds(t *testing.T) {
	_, name := terminal(t)
	w, err := openSerial(name)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for baud, most := range map[int]time.Duration{initialBaud: 3 * time.Second, 921600: 3 * time.Second, 9600: 12 * time.Second} {
		frame := maxFrame * 10 * time.Second / time.Duration(baud)
		if err := w.SetBaud(baud); err != nil || w.(*tty).patience < frame+time.Second || w.(*tty).patience > most {
			t.Errorf("at %d baud a write may take %v, and a frame takes %v (%v)", baud, w.(*tty).patience, frame, err)
		}
	}
	w.(*tty).patience = 50 * time.Millisecond
	p := &Port{name: name, wire: w}
	n, err := p.Write(make([]byte, 1<<20))
	if n == 1<<20 || !errors.Is(err, chip.ErrPortGone) || !strings.Contains(err.Error(), "takes no bytes") {
		t.Errorf("got %d, %v, want ErrPortGone", n, err)
	}
}

func TestLinesKeepTheOtherModemBits(t *testing.T) {
	const others = unix.TIOCM_CTS | unix.TIOCM_DSR | unix.TIOCM_CAR
	for _, dtr := range []bool{false, true} {
		for _, rts := range []bool{false, true} {
			for _, before := range []int{0, unix.TIOCM_DTR, unix.TIOCM_RTS, unix.TIOCM_DTR | unix.TIOCM_RTS} {
				got := withLines(before|others, dtr, rts)
				if got&others != others || (got&unix.TIOCM_DTR != 0) != dtr || (got&unix.TIOCM_RTS != 0) != rts {
					t.Errorf("%#x with %v, %v: got %#x", before, dtr, rts, got)
				}
			}
		}
	}
}

func TestReasonsNotToOpen(t *testing.T) {
	for _, c := range []struct {
		err  error
		is   error
		says string
	}{
		{unix.EACCES, fs.ErrPermission, "dialout"},
		{unix.EBUSY, chip.ErrPortBusy, "take another port"},
		{unix.EWOULDBLOCK, chip.ErrPortBusy, "take another port"},
		{unix.ENOENT, chip.ErrPortAbsent, "station ports"},
		{unix.ENXIO, chip.ErrPortAbsent, "station ports"},
		{fmt.Errorf("open: %w", unix.EIO), unix.EIO, "input/output"},
	} {
		if err := openError(c.err); !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: got %v", c.err, err)
		}
	}
}

// silent is a library port whose reads end at once, as some systems' do after
// a hang-up.
type silent struct {
	serial.Port
	reads int
}

func (*silent) SetReadTimeout(time.Duration) error { return nil }

func (s *silent) Read([]byte) (int, error) {
	s.reads++
	return 0, nil
}

func TestEmptyReadBeforeTheDeadlineIsNotATimeout(t *testing.T) {
	s := &silent{}
	r := reader{port: s, deadline: time.Now().Add(time.Minute)}
	if _, err := r.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || s.reads > 3 {
		t.Errorf("got %v after %d reads", err, s.reads)
	}
	r.deadline = time.Now()
	if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past the deadline: got %v", err)
	}
}
