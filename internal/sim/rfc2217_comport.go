package sim

import "encoding/binary"

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

func (s *comServer) setBaud(baud uint32) {
	if baud != 0 && s.port.SetBaud(int(baud)) == nil {
		s.baud = baud
	}
}

// tell sends the server's side of a COM-PORT command.
func (s *comServer) tell(command byte, value ...byte) {
	p := []byte{telnetIAC, telnetSB, comPort, command + comAnswer}
	s.answer(append(append(p, escaped(value)...), telnetIAC, telnetSE))
}
