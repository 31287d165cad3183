package sim

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"sync"
)

// A serial port server: telnet (RFC 854) with the COM-PORT option (RFC 2217),
// by which a client drives speed, DTR and RTS of the port that it is given.

// ServeRFC2217 is Serve for clients that speak RFC 2217. Each begins at 115200
// baud with both lines released; the lines fall back when it leaves.
func (c *Chip) ServeRFC2217(ctx context.Context, l net.Listener) error {
	return c.accept(ctx, l, func(ctx context.Context, conn net.Conn) {
		defer conn.Close()
		port, err := c.openWithin(ctx, takeover)
		if err != nil {
			return
		}
		s := newComServer(conn, port)
		s.setBaud(consoleBaud)
		s.answer(greeting)
		pump(ctx, s, port)
	})
}

// Telnet commands and options.
const (
	telnetSE    = 0xf0
	telnetSB    = 0xfa
	telnetWill  = 0xfb
	telnetWont  = 0xfc
	telnetDo    = 0xfd
	telnetDont  = 0xfe
	telnetIAC   = 0xff
	binaryData  = 0
	noGoAhead   = 3
	comPort     = 44
	maxComValue = 64 // bytes of a request that are kept
)

// greeting is what the server asks for. A client that has asked already takes
// it for an answer.
var greeting = []byte{
	telnetIAC, telnetDo, comPort, telnetIAC, telnetDo, binaryData, telnetIAC, telnetWill, binaryData, telnetIAC, telnetWill, noGoAhead,
}

// comServer is a client's connection as the plain bytes that pump carries: Read
// obeys the commands that stand between them.
type comServer struct {
	conn net.Conn
	r    *bufio.Reader
	port *Port
	said map[[2]byte]bool // WILL or DO of an option
	baud uint32
	dtr  bool
	rts  bool

	inUse bool // the client speaks RFC 2217

	mu        sync.Mutex // of what is sent
	resumed   *sync.Cond
	suspended bool // by the client
	closed    bool
}

func newComServer(conn net.Conn, port *Port) *comServer {
	s := &comServer{conn: conn, r: bufio.NewReaderSize(conn, 16<<10), port: port, said: map[[2]byte]bool{}}
	s.resumed = sync.NewCond(&s.mu)
	for i := 0; i < len(greeting); i += 3 {
		s.said[[2]byte(greeting[i+1:])] = true
	}
	return s
}

// Read fills p with the data before the next command, which is obeyed when
// Read is called again: the chip has those data by then.
func (s *comServer) Read(p []byte) (n int, err error) {
	for n < len(p) && (n == 0 || s.r.Buffered() > 0) {
		b, err := s.r.Peek(1)
		if err != nil {
			return n, err
		}
		if b[0] == telnetIAC {
			if b, err = s.r.Peek(2); err != nil {
				return n, err
			}
			if b[1] != telnetIAC {
				if n > 0 {
					break
				}
				if err := s.command(); err != nil {
					return 0, err
				}
				continue
			}
			_, _ = s.r.Discard(1)
		}
		p[n], _ = s.r.ReadByte()
		n++
	}
	return n, nil
}

// command obeys one telnet command.
func (s *comServer) command() error {
	_, _ = s.r.Discard(1)
	switch verb, _ := s.r.ReadByte(); verb {
	case telnetWill, telnetWont, telnetDo, telnetDont:
		option, err := s.r.ReadByte()
		if err == nil {
			s.negotiate(verb, option)
		}
		return err
	case telnetSB:
		params, err := s.params()
		if err == nil && len(params) > 1 && params[0] == comPort {
			s.com(params[1], params[2:])
		}
		return err
	}
	return nil // NOP and its like
}

// params reads a subnegotiation to its end.
func (s *comServer) params() ([]byte, error) {
	var params []byte
	for {
		b, err := s.r.ReadByte()
		if err != nil {
			return nil, err
		}
		if b == telnetIAC {
			if b, err = s.r.ReadByte(); err != nil || b != telnetIAC {
				return params, err // SE, or nothing that can follow
			}
		}
		if len(params) < maxComValue {
			params = append(params, b)
		}
	}
}

// negotiate answers once to each option that a serial line needs, and refuses
// the others.
func (s *comServer) negotiate(verb, option byte) {
	yes, no := byte(telnetWill), byte(telnetWont)
	if verb == telnetWill || verb == telnetWont {
		yes, no = telnetDo, telnetDont
	}
	agreed := [2]byte{yes, option}
	switch wish := verb == telnetWill || verb == telnetDo; {
	case wish && option != binaryData && option != noGoAhead && option != comPort:
		s.answer([]byte{telnetIAC, no, option})
	case wish && !s.said[agreed]:
		s.said[agreed] = true
		s.answer([]byte{telnetIAC, yes, option})
	case !wish && s.said[agreed]:
		delete(s.said, agreed)
		s.answer([]byte{telnetIAC, no, option})
	}
}

// answer sends a command to the client, whatever is suspended.
func (s *comServer) answer(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.conn.Write(p)
}

func escaped(p []byte) []byte {
	return bytes.ReplaceAll(p, []byte{telnetIAC}, []byte{telnetIAC, telnetIAC})
}

// Write sends what the chip says.
func (s *comServer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.suspended && !s.closed {
		s.resumed.Wait()
	}
	if _, err := s.conn.Write(escaped(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *comServer) suspend(yes bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.suspended = yes
	s.resumed.Broadcast()
}

func (s *comServer) Close() error {
	s.mu.Lock()
	s.closed = true
	s.resumed.Broadcast()
	s.mu.Unlock()
	return s.conn.Close()
}
