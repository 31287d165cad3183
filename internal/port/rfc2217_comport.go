package port

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"station/internal/chip"
)

// Commands of the COM-PORT option (RFC 2217). A server answers with the same
// number plus 100.
const (
	comSignature     = 0
	comBaudRate      = 1 // 4 bytes, the others 1
	comDataSize      = 2
	comParity        = 3
	comStopSize      = 4
	comControl       = 5
	comSuspend       = 8
	comResume        = 9
	comLineStateMask = 10
	comModemMask     = 11
	comPurge         = 12
	comServer        = 100
)

// Values of SET-CONTROL.
const (
	controlNoFlow = 1
	controlDTROn  = 8
	controlDTROff = 9
	controlRTSOn  = 11
	controlRTSOff = 12
)

// setting is one thing that a server is asked for, or says that it is.
type setting struct {
	command byte
	value   uint32
}

func setDTR(on bool) setting { return setting{comControl, choose(on, controlDTROn, controlDTROff)} }
func setRTS(on bool) setting { return setting{comControl, choose(on, controlRTSOn, controlRTSOff)} }

func choose(on bool, yes, no uint32) uint32 {
	if on {
		return yes
	}
	return no
}

// initialSettings are 8N1 without flow control or notices of line and modem
// state, with empty buffers.
var initialSettings = []setting{
	{comPurge, 3},
	{comBaudRate, initialBaud}, {comDataSize, 8}, {comParity, 1}, {comStopSize, 1},
	{comControl, controlNoFlow},
	{comLineStateMask, 0}, {comModemMask, 0},
}

// answered reports whether an ask waits for the server's answer. Many servers
// leave the others without one.
func (c setting) answered() bool { return c.command <= comControl && c.value != controlNoFlow }

// same reports whether two settings are about the same thing.
func (c setting) same(other setting) bool {
	return c.command == other.command && (c.command != comControl || line(c.value) == line(other.value))
}

// line tells the things apart that SET-CONTROL sets.
func line(control uint32) int {
	switch control {
	case controlDTROn, controlDTROff:
		return 1
	case controlRTSOn, controlRTSOff:
		return 2
	}
	return 0
}

// met reports whether an answer is what was asked for. A divider gives some
// speeds only nearly; 2 % is what a UART still reads.
func (c setting) met(answer setting) bool {
	if c.command == comBaudRate {
		return math.Abs(float64(c.value)-float64(answer.value)) <= 0.02*float64(c.value)
	}
	return c.value == answer.value
}

func (c setting) append(dst []byte) []byte {
	if c.command == comBaudRate {
		v := binary.BigEndian.AppendUint32(nil, c.value)
		return appendParams(dst, optComPort, append([]byte{c.command}, v...)...)
	}
	return appendParams(dst, optComPort, c.command, byte(c.value))
}

// parseAnswer reads a server's answer.
func parseAnswer(params []byte) (answer setting, ok bool) {
	if len(params) < 2 || params[0] < comServer {
		return setting{}, false
	}
	answer.command = params[0] - comServer
	switch value := params[1:]; {
	case answer.command == comBaudRate && len(value) >= 4:
		answer.value = binary.BigEndian.Uint32(value)
	case answer.command != comBaudRate:
		answer.value = uint32(value[0])
	default:
		return setting{}, false
	}
	return answer, true
}

var (
	// errRefused is an answer that is not what was asked for.
	errRefused = errors.New("the server refuses")
	errSilent  = errors.New("the server does not answer")
)

func (c setting) refused(answer setting) error {
	switch c.command {
	case comBaudRate:
		return fmt.Errorf("%w: its port stays at %d", errRefused, answer.value)
	case comControl:
		return fmt.Errorf("%w: it does not set DTR and RTS", errRefused)
	}
	return fmt.Errorf("%w: its port does not do 8N1", errRefused)
}

// request sends settings in one piece, without waiting.
func (s *rfc2217) request(all []setting) error {
	var b []byte
	for _, c := range all {
		b = c.append(b)
		if c.answered() && !(s.deaf && c.command == comControl) {
			s.pending = append(s.pending, c)
		}
	}
	if len(b) == 0 {
		return nil
	}
	return s.send(b)
}

// ask sends settings and waits for what was not answered yet.
func (s *rfc2217) ask(patience time.Duration, all ...setting) error {
	if err := s.request(all); err != nil {
		return err
	}
	err := s.await(patience, func() bool { return len(s.pending) == 0 })
	if err == nil {
		err = s.failed
	}
	s.pending, s.failed = nil, nil
	return err
}

func gone(err error) error {
	return fmt.Errorf("%w: %w", chip.ErrPortGone, err)
}

// obey meets one command of the server. What it replies with is sent at once;
// a connection that fails then fails the next read too.
func (s *rfc2217) obey(c command) {
	if c.verb != telSB {
		if reply := s.options.receive(c.verb, c.option); reply != nil {
			s.reply(reply)
		}
		return
	}
	if c.option != optComPort || len(c.params) == 0 {
		return
	}
	switch c.params[0] {
	case comSignature, comServer + comSignature:
		if len(c.params) == 1 { // it asks who we are
			s.reply(appendParams(nil, optComPort, append([]byte{comSignature}, "station"...)...))
		}
	case comServer + comSuspend:
		s.suspended = true
	case comServer + comResume:
		s.suspended = false
	default: // notices of line and modem state among them
		if answer, ok := parseAnswer(c.params); ok {
			s.settle(answer)
		}
	}
}

// settle notes the answer to the oldest request that it fits.
func (s *rfc2217) settle(answer setting) {
	s.controls = s.controls || answer.command == comControl
	i := slices.IndexFunc(s.pending, answer.same)
	if i < 0 {
		return
	}
	if asked := s.pending[i]; !asked.met(answer) {
		s.failed = asked.refused(answer)
	}
	s.pending = slices.Delete(s.pending, i, i+1)
}
