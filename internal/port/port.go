// Package port opens the wire to a chip: a serial device, a serial port of
// another machine (RFC 2217), or a TCP socket that carries the same bytes. It
// moves bytes, sets the speed and drives the modem lines; what they mean is the
// loader's business. It knows the adapters and where they are plugged in.
package port

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"station/internal/chip"
)

// Speed of a port when it is opened: what the mask ROM prints at.
const initialBaud = 115200

// maxFrame is more than any frame has, in bytes.
const maxFrame = 9 << 10

// writePatience is how long a frame may take into a port of that speed. One that
// has not taken it then never will; meanwhile nobody can stop the line.
func writePatience(baud int) time.Duration {
	return 2*time.Second + maxFrame*10*time.Second/time.Duration(max(baud, 1))
}

// wire is one kind of port. Read returns at least one byte or an error, which
// is os.ErrDeadlineExceeded past the deadline.
type wire interface {
	Read(p []byte) (int, error)
	Write(p []byte) (int, error)
	SetReadDeadline(t time.Time) error
	SetBaud(baud int) error
	SetLines(dtr, rts bool) error
	Close() error
}

// schemes are the kinds of port that are named by a URL; a name without
// :// is a device.
var schemes = map[string]struct {
	check func(address string) error
	dial  func(address string) (wire, error)
}{
	"socket":  {checkSocket, dialSocket},
	"rfc2217": {checkRFC2217, dialRFC2217},
}

// Check says why a name can be no port's, without looking for one.
func Check(name string) error {
	if name == "" {
		return errors.New("port: no name; want a device path, usb:PATH, socket://HOST:PORT or rfc2217://HOST:PORT")
	}
	if err := checkName(name); err != nil {
		return fmt.Errorf("port %s: %w", name, err)
	}
	return nil
}

func checkName(name string) error {
	if place, isUSB := strings.CutPrefix(name, usbPrefix); isUSB {
		return checkPlace(place)
	}
	scheme, address, isURL := strings.Cut(name, "://")
	switch kind, ok := schemes[scheme]; {
	case !isURL:
		return nil
	case !ok:
		known := strings.Join(slices.Sorted(maps.Keys(schemes)), "://, ")
		return fmt.Errorf("unknown kind %s://; want a device path, usb:PATH, %s://", scheme, known)
	default:
		return kind.check(address)
	}
}

// Last is the last port that TCP has.
const Last = 1<<16 - 1

// SplitAddress parses HOST:PORT. The port is a number that TCP has, 0 is
// any, or the name of a service.
func SplitAddress(address string) (host string, number int, err error) {
	host, text, err := net.SplitHostPort(address)
	if err != nil || text == "" {
		return "", 0, errors.New("want HOST:PORT")
	}
	number, err = net.LookupPort("tcp", text)
	if err != nil {
		return "", 0, fmt.Errorf("there is no TCP port %q; a port is a number up to %d", text, Last)
	}
	return host, number, nil
}

// checkAddress reports that nothing can be reached at an address.
func checkAddress(scheme, address string) error {
	_, number, err := SplitAddress(address)
	if err == nil && number == 0 {
		err = errors.New("nothing listens at port 0")
	}
	if err != nil {
		return fmt.Errorf("want %s://HOST:PORT: %w", scheme, err)
	}
	return nil
}

// Port is an open wire. Only Close may be called while another method runs.
type Port struct {
	name    string
	wire    wire
	adapter Adapter
	closed  atomic.Bool
}

// Open opens a serial device at 115200 baud, 8N1, with DTR and RTS released
// (GPIO0 and EN of a board high): by its path, or as usb:1-2.3:1.0 by the USB
// socket and interface of its adapter, whatever name it has today. Or it
// connects to socket://HOST:PORT or rfc2217://HOST:PORT. The port is held
// exclusively where the system can do that.
//
// Errors: chip.ErrPortAbsent, chip.ErrPortBusy, os.ErrPermission.
func (s System) Open(name string) (*Port, error) {
	p := &Port{name: name}
	if err := s.open(p); err != nil {
		return nil, fmt.Errorf("port %s: %w", name, err)
	}
	return p, nil
}

func (s System) open(p *Port) (err error) {
	if err := checkName(p.name); err != nil {
		return err
	}
	if scheme, address, isURL := strings.Cut(p.name, "://"); isURL {
		p.wire, err = schemes[scheme].dial(address)
		return err
	}
	device, err := s.device(p.name)
	if err != nil {
		return err
	}
	if p.wire, err = openSerial(device); err != nil {
		return err
	}
	p.adapter = s.info(device).Adapter()
	if p.adapter.KeepDTR {
		keepLines(p.wire)
	}
	return nil
}

// Name is what Open was given.
func (p *Port) Name() string { return p.name }

// Read reads at least one byte. It returns os.ErrDeadlineExceeded past the
// deadline and chip.ErrPortGone when the other end has vanished: a pulled
// cable is not a timeout.
func (p *Port) Read(b []byte) (int, error) {
	n, err := p.wire.Read(b)
	return n, p.lost(err)
}

// Write writes all of b. A port that takes nothing for ten seconds is gone.
func (p *Port) Write(b []byte) (int, error) {
	n, err := p.wire.Write(b)
	return n, p.lost(err)
}

// SetReadDeadline bounds the next reads; the zero time is no bound.
func (p *Port) SetReadDeadline(t time.Time) error { return p.wire.SetReadDeadline(t) }

// SetBaud changes the speed of this end. It wraps errors.ErrUnsupported where
// the speed is not this end's to set.
func (p *Port) SetBaud(baud int) error { return p.set(p.wire.SetBaud(baud)) }

// SetLines drives DTR (asserted pulls GPIO0 low on most boards) and RTS
// (asserted pulls EN low). It wraps errors.ErrUnsupported where the port has
// no modem lines.
func (p *Port) SetLines(dtr, rts bool) error { return p.set(p.wire.SetLines(dtr, rts)) }

// LinesTogether reports whether SetLines changes both lines at the same
// instant.
func (p *Port) LinesTogether() bool {
	w, ok := p.wire.(interface{ LinesTogether() bool })
	return ok && w.LinesTogether()
}

// USBJTAG reports a port that is the chip's own.
func (p *Port) USBJTAG() bool { return p.adapter.Chip }

// KeepDTR reports whether the adapter needs DTR asserted for as long as it is
// in use.
func (p *Port) KeepDTR() bool { return p.adapter.KeepDTR }

// Close gives the port back and ends a Read that waits. It may be called more
// than once.
func (p *Port) Close() error {
	if p.closed.Swap(true) {
		return nil
	}
	return p.wire.Close()
}

// lost tells the ways apart in which a transfer can end without bytes.
func (p *Port) lost(err error) error {
	switch {
	case err == nil || errors.Is(err, os.ErrDeadlineExceeded):
		return err
	case p.closed.Load():
		return p.named(os.ErrClosed)
	case errors.Is(err, chip.ErrPortGone):
		return p.named(err)
	}
	return fmt.Errorf("port %s: %w: %w", p.name, chip.ErrPortGone, err)
}

// set tells a port that is not there any more from one that cannot do something.
func (p *Port) set(err error) error {
	if isGone(err) {
		return p.lost(err)
	}
	return p.named(err)
}

func (p *Port) named(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("port %s: %w", p.name, err)
}
