package port

import "bytes"

// Telnet (RFC 854, 855) as bytes: data with commands between them. Pure.

// Telnet commands.
const (
	telSE   = 0xf0
	telSB   = 0xfa
	telWill = 0xfb
	telWont = 0xfc
	telDo   = 0xfd
	telDont = 0xfe
	telIAC  = 0xff
)

// maxParams bounds a subnegotiation. The longest that has a meaning here is a
// server's name; a longer one is dropped.
const maxParams = 256

// command is WILL, WONT, DO or DONT of an option, or SB with the option's
// parameters.
type command struct {
	verb, option byte
	params       []byte // valid during the call only
}

// telnet takes a stream apart, in pieces of any size.
type telnet struct {
	state  telState
	verb   byte
	params []byte // option and parameters of the subnegotiation in hand
	long   bool
}

type telState int

const (
	inData telState = iota
	afterIAC
	afterVerb
	inParams
	inParamsIAC
)

// decode moves the data in p to its front and returns how many bytes of it
// there are. Each command is handled at its place in the stream; those without
// an option (NOP, AYT and the like) mean nothing on a serial line.
func (t *telnet) decode(p []byte, handle func(command)) int {
	n := 0
	for _, b := range p {
		switch t.state {
		case inData:
			if b == telIAC {
				t.state = afterIAC
				continue
			}
			p[n] = b
			n++
		case afterIAC:
			if t.state = inData; b == telIAC {
				p[n] = b
				n++
				continue
			}
			t.begin(b)
		case afterVerb:
			t.state = inData
			handle(command{verb: t.verb, option: b})
		case inParams:
			if b == telIAC {
				t.state = inParamsIAC
				continue
			}
			t.param(b)
		case inParamsIAC:
			switch b {
			case telIAC:
				t.state = inParams
				t.param(b)
			case telSE:
				t.end(handle)
			default: // it never ended: this is the next command
				t.state = inData
				t.begin(b)
			}
		}
	}
	return n
}

func (t *telnet) begin(verb byte) {
	switch verb {
	case telWill, telWont, telDo, telDont:
		t.verb, t.state = verb, afterVerb
	case telSB:
		t.params, t.long, t.state = t.params[:0], false, inParams
	}
}

func (t *telnet) param(b byte) {
	if t.long = t.long || len(t.params) > maxParams; !t.long {
		t.params = append(t.params, b)
	}
}

func (t *telnet) end(handle func(command)) {
	t.state = inData
	if len(t.params) > 0 && !t.long {
		handle(command{verb: telSB, option: t.params[0], params: t.params[1:]})
	}
}

// appendData appends p as telnet data.
func appendData(dst, p []byte) []byte {
	for {
		i := bytes.IndexByte(p, telIAC)
		if i < 0 {
			return append(dst, p...)
		}
		dst = append(append(dst, p[:i+1]...), telIAC)
		p = p[i+1:]
	}
}

// appendParams appends a subnegotiation of an option.
func appendParams(dst []byte, option byte, params ...byte) []byte {
	dst = append(dst, telIAC, telSB, option)
	return append(appendData(dst, params), telIAC, telSE)
}

// Options that are agreed on, by number.
const (
	optBinary  = 0  // RFC 856: a CR is a CR
	optSGA     = 3  // RFC 858: no turn-taking
	optComPort = 44 // RFC 2217
)

// consent is how far two ends are with one option in one direction.
type consent int

const (
	unasked consent = iota
	asked
	agreed
	refused
)

// options is the state of negotiation (RFC 1143, without its queue: an option
// is never given up again): what we do, and what the server does.
type options struct {
	ours, theirs map[byte]consent
}

// request asks for what a serial line needs, in one piece.
func (o *options) request() []byte {
	o.ours = map[byte]consent{optComPort: asked, optBinary: asked, optSGA: asked}
	o.theirs = map[byte]consent{optComPort: unasked, optBinary: asked, optSGA: asked}
	return []byte{
		telIAC, telWill, optComPort,
		telIAC, telWill, optBinary, telIAC, telDo, optBinary,
		telIAC, telWill, optSGA, telIAC, telDo, optSGA,
	}
}

// receive notes WILL, WONT, DO or DONT and returns what to answer, if
// anything. Only a change of state is answered, so that two ends cannot answer
// each other for ever.
func (o *options) receive(verb, option byte) []byte {
	side, yes, no := o.ours, byte(telWill), byte(telWont)
	if verb == telWill || verb == telWont {
		side, yes, no = o.theirs, telDo, telDont
	}
	was, known := side[option]
	switch wish := verb == telWill || verb == telDo; {
	case wish && !known:
		return []byte{telIAC, no, option}
	case wish && was != agreed:
		side[option] = agreed
		if was != asked {
			return []byte{telIAC, yes, option}
		}
	case !wish && known && was != refused:
		side[option] = refused
		if was == agreed {
			return []byte{telIAC, no, option}
		}
	}
	return nil
}

// comPort reports whether the server serves a serial port. Some servers agree
// to the option, some announce it, some do both.
func (o *options) comPort() bool {
	return o.ours[optComPort] == agreed || o.theirs[optComPort] == agreed
}

// settled reports whether the server has answered what matters.
func (o *options) settled() bool {
	return (o.comPort() || o.ours[optComPort] == refused) && o.ours[optBinary] != asked && o.theirs[optBinary] != asked
}
