package sim

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
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

// tell sends the server's side of a COM-PORT command.
func (s *comServer) tell(command byte, value ...byte) {
	p := []byte{telnetIAC, telnetSB, comPort, command + comAnswer}
	s.answer(append(append(p, escaped(value)...), telnetIAC, telnetSE))
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

func (s *comServer) setBaud(baud uint32) {
	if baud != 0 && s.port.SetBaud(int(baud)) == nil {
		s.baud = baud
	}
}

// COM-PORT commands of a client; the server's have 100 more.
const (
	comSignature     = 0
	comBaud          = 1
	comDataSize      = 2
	comParity        = 3
	comStopSize      = 4
	comControl       = 5
	comLineState     = 6
	comModemState    = 7
	comSuspend       = 8
	comResume        = 9
	comLineStateMask = 10
	comModemMask     = 11
	comPurge         = 12
	comAnswer        = 100
)

// com obeys a COM-PORT command. What this line cannot do otherwise, 8N1
// without flow control, is what it answers to any wish.
func (s *comServer) com(command byte, value []byte) {
	if !s.inUse {
		s.inUse = true
		s.tell(comModemState, 0) // no CTS, DSR or CD on this board
	}
	if command == comSignature {
		s.tell(command, []byte("station sim")...)
		return
	}
	if command == comSuspend || command == comResume {
		s.suspend(command == comSuspend)
		return
	}
	if command == comBaud {
		if len(value) >= 4 {
			s.setBaud(binary.BigEndian.Uint32(value))
		}
		s.tell(command, binary.BigEndian.AppendUint32(nil, s.baud)...)
		return
	}
	if len(value) == 0 {
		value = []byte{0}
	}
	switch command {
	case comDataSize:
		s.tell(command, 8)
	case comParity, comStopSize:
		s.tell(command, 1)
	case comControl:
		s.tell(command, s.control(value[0]))
	case comLineState, comModemState:
		s.tell(command, 0)
	case comLineStateMask, comModemMask, comPurge: // nothing of the chip's is ever held back
		s.tell(command, value[0])
	}
}

// Values of SET-CONTROL.
const (
	noFlow          = 1
	breakAsk        = 4
	breakOff        = 6
	dtrAsk          = 7
	dtrOn           = 8
	dtrOff          = 9
	rtsAsk          = 10
	rtsOn           = 11
	rtsOff          = 12
	inboundFlowAsk  = 13
	inboundFlowNone = 14
	inboundFlowLast = 16
)

// setLines drives the lines. A client on its way from RTS alone to DTR alone,
// from reset into the loader, passes through both; that step is carried out
// together with the next. A network would put its delay between them, and EN
// would be up before GPIO0 is low. Servers made for such boards do alike.
func (s *comServer) setLines(dtr, rts bool) {
	fromReset := s.rts && !s.dtr
	if fromReset && dtr && rts || s.port.SetLines(dtr, rts) == nil {
		s.dtr, s.rts = dtr, rts
	}
}

// control drives one line and tells its state.
func (s *comServer) control(value byte) byte {
	switch value {
	case dtrOn, dtrOff:
		s.setLines(value == dtrOn, s.rts)
	case rtsOn, rtsOff:
		s.setLines(s.dtr, value == rtsOn)
	}
	state := func(on bool, yes byte) byte {
		if on {
			return yes
		}
		return yes + 1
	}
	switch {
	case value >= dtrAsk && value <= dtrOff:
		return state(s.dtr, dtrOn)
	case value >= rtsAsk && value <= rtsOff:
		return state(s.rts, rtsOn)
	case value >= breakAsk && value <= breakOff:
		return breakOff
	case value >= inboundFlowAsk && value <= inboundFlowLast:
		return inboundFlowNone
	}
	return noFlow
}
