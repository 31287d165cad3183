package port

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
)

// rfc2217 is a serial port on another machine: telnet with the COM-PORT option
// of RFC 2217, which adds speed and modem lines to the bytes. One goroutine
// does everything: commands of the server are met while reading.
type rfc2217 struct {
	conn     net.Conn
	telnet   telnet
	options  options
	deadline time.Time
	data     []byte // arrived while an answer was awaited
	tx       []byte
	baud     int // as agreed
	said     int // bytes of the server that were telnet commands

	pending   []setting // sent and not answered, oldest first
	failed    error     // an answer that was not what was asked for
	suspended bool      // the server wants no bytes for now

	dtr, rts bool
	noLines  error
	controls bool // the server answers SET-CONTROL
	deaf     bool // and it does not
}

// maxHeld is of data that come while an answer is awaited. No chip says more in
// that time; what else comes is lost, as in an adapter.
const maxHeld = 64 << 10

// How long the server has to answer.
const (
	answerTimeout = 3 * time.Second
	lineTimeout   = time.Second // it has shown by then how fast it is
	replyTimeout  = time.Second // to take a reply of ours
)

func checkRFC2217(address string) error {
	address, query, _ := strings.Cut(address, "?")
	if err := checkAddress("rfc2217", address); err != nil {
		return err
	}
	// The one option that instructions for other programs add.
	if query != "" && query != "ign_set_control" {
		return fmt.Errorf("unknown option ?%s; want rfc2217://HOST:PORT", query)
	}
	return nil
}

func dialRFC2217(address string) (wire, error) {
	address, query, _ := strings.Cut(address, "?")
	c, err := net.DialTimeout("tcp", address, dialTimeout)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", chip.ErrPortAbsent, err)
	}
	s := &rfc2217{conn: c, baud: initialBaud, deaf: query != ""}
	if err := s.open(); err != nil {
		c.Close()
		return nil, err
	}
	return s, nil
}

// open agrees on the options and brings the port into its first state: 115200
// baud, 8N1, no flow control, lines released, nothing left from the last client.
func (s *rfc2217) open() error {
	end := time.Now().Add(answerTimeout) // for all but the lines: nobody can stop the line meanwhile
	err := s.negotiate()
	if err == nil {
		err = s.ask(time.Until(end), initialSettings...)
	}
	if err == nil {
		err = s.askLines(setRTS(false), setDTR(false))
	}
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case errors.Is(err, chip.ErrPortGone) && !errors.Is(err, errSilent):
		return s.hungUp()
	}
	return err
}

func (s *rfc2217) negotiate() error {
	if err := s.send(s.options.request()); err != nil {
		return err
	}
	switch err := s.await(answerTimeout, s.options.settled); {
	case err != nil && !errors.Is(err, errSilent):
		return err
	case s.said == 0:
		return fmt.Errorf("the server speaks no telnet; for a raw port write socket://HOST:PORT")
	case !s.options.comPort():
		return fmt.Errorf("the server speaks telnet but not RFC 2217; enable it there")
	case s.options.ours[optBinary] != agreed || s.options.theirs[optBinary] != agreed:
		return fmt.Errorf("the server does not agree to binary data")
	}
	return nil
}

// hungUp is the error of a server that closes the connection while the port is
// being opened. Some say why, as text for a person at a terminal.
func (s *rfc2217) hungUp() error {
	_ = s.await(replyTimeout, func() bool { return false }) // to the end of what it said
	why, kind := strings.TrimSpace(string(s.data[:min(len(s.data), 100)])), chip.ErrPortAbsent
	if strings.Contains(why, "in use") {
		kind = chip.ErrPortBusy
	}
	if why == "" {
		why = "its port is gone or another client has it"
	}
	return fmt.Errorf("%w: the server hangs up: %s", kind, strings.ToValidUTF8(why, "?"))
}

// Read returns data, and meets what the server says between them.
func (s *rfc2217) Read(p []byte) (int, error) {
	if n := copy(p, s.data); n > 0 {
		clear(s.data[:n])
		s.data = s.data[n:]
		return n, nil
	}
	for {
		n, err := s.receive(p, s.deadline)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// receive reads once and leaves data in p.
func (s *rfc2217) receive(p []byte, deadline time.Time) (int, error) {
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	n, err := s.conn.Read(p)
	data := s.telnet.decode(p[:n], s.obey)
	clear(p[data:n])
	s.said += n - data
	if data > 0 {
		return data, nil
	}
	return 0, err
}

// await reads until something has become true, and keeps the data for Read.
func (s *rfc2217) await(patience time.Duration, done func() bool) error {
	deadline := time.Now().Add(patience)
	var buf [512]byte
	for !done() {
		n, err := s.receive(buf[:], deadline)
		s.data = append(s.data, buf[:min(n, maxHeld-len(s.data))]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return gone(errSilent)
		case err != nil:
			return gone(err)
		}
	}
	return nil
}

func (s *rfc2217) SetReadDeadline(t time.Time) error {
	s.deadline = t
	return nil
}

// Write waits while the server has suspended the flow. A request to suspend is
// seen with the data before it: at most what one Write carries is under way.
func (s *rfc2217) Write(p []byte) (int, error) {
	end := time.Now().Add(writePatience(s.baud))
	if s.suspended {
		if err := s.await(time.Until(end), func() bool { return !s.suspended }); err != nil {
			return 0, fmt.Errorf("write: the server suspends the flow: %w", err)
		}
	}
	// The frame may hold a key: no buffer that grows leaves a copy behind.
	s.tx = appendData(slices.Grow(s.tx[:0], 2*len(p)), p)
	err := s.sendWithin(time.Until(end), s.tx)
	clear(s.tx)
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *rfc2217) send(p []byte) error { return s.sendWithin(writePatience(s.baud), p) }

// reply answers a command of the server. One that talks and does not listen is
// hung up on: its next command would only wait for the same. One that has hung
// up itself may have said why, which is read next.
func (s *rfc2217) reply(p []byte) {
	if errors.Is(s.write(replyTimeout, p), os.ErrDeadlineExceeded) {
		s.conn.Close()
	}
}

func (s *rfc2217) sendWithin(d time.Duration, p []byte) error {
	if err := s.write(d, p); err != nil {
		return gone(fmt.Errorf("write: %v", err)) // not a read deadline, whatever net calls it
	}
	return nil
}

func (s *rfc2217) write(d time.Duration, p []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(d)); err != nil {
		return err
	}
	_, err := s.conn.Write(p)
	return err
}

// SetBaud returns when the server has confirmed the speed.
func (s *rfc2217) SetBaud(baud int) error {
	if err := s.ask(answerTimeout, setting{comBaudRate, uint32(baud)}); err != nil {
		return fmt.Errorf("set %d baud: %w", baud, err)
	}
	s.baud = baud
	return nil
}

// SetLines sends what changes, in one piece. It waits for the answers, but for
// those to both lines asserted: nobody rests in that state. EN is rising in
// it, with GPIO0 still high, and the request that pulls GPIO0 low must be at
// the server before EN is up.
func (s *rfc2217) SetLines(dtr, rts bool) error {
	if s.noLines != nil {
		return s.noLines
	}
	changes := changesOfLines(s.dtr, s.rts, dtr, rts)
	s.dtr, s.rts = dtr, rts
	if dtr && rts {
		return s.request(changes)
	}
	return s.askLines(changes...)
}

// changesOfLines orders the changes so that RTS is never asserted alone, which
// resets the chip, on the way to another state.
func changesOfLines(dtr, rts, newDTR, newRTS bool) []setting {
	var changes []setting
	if dtr != newDTR {
		changes = append(changes, setDTR(newDTR))
	}
	if rts != newRTS {
		changes = append(changes, setRTS(newRTS))
	}
	if len(changes) == 2 && !newDTR && !newRTS {
		changes[0], changes[1] = changes[1], changes[0]
	}
	return changes
}

// askLines sets lines. A server that answers otherwise, or leaves only these
// unanswered (as ser2net does where the system refuses), has none. One that
// answers no SET-CONTROL at all is believed.
func (s *rfc2217) askLines(changes ...setting) error {
	err := s.ask(lineTimeout, changes...)
	switch silent := errors.Is(err, errSilent); {
	case silent && !s.controls:
		s.deaf = true
		return nil
	case silent || errors.Is(err, errRefused):
		s.noLines = fmt.Errorf("no modem lines at the server: %w", errors.ErrUnsupported)
		return s.noLines
	}
	return err
}

// LinesTogether is false: the two lines are two requests.
func (*rfc2217) LinesTogether() bool { return false }

func (s *rfc2217) Close() error { return s.conn.Close() }
