package sim

// What faults do to code in RAM and its wire. They count bytes: frames are the
// code's own business.

// faultyCodeByte is a byte from the host as it arrives, and how often.
func (c *Chip) faultyCodeByte(b byte) (heard byte, copies int) {
	copies = 1
	if c.meter.Code.BytesIn++; len(c.faults) == 0 {
		return b, copies
	}
	if f := c.fire(ChangeCodeByte, 0); f != nil {
		b ^= f.xor()
	}
	for _, f := range []struct {
		kind Kind
		do   func()
	}{
		{DropCodeByte, func() { copies = 0 }},
		{DoubleCodeByte, func() { copies = 2 }},
		{HangCode, func() { c.leaveCode(); c.mode = hung }},
		{RestartCode, func() { c.restartWith(true) }},
		{CutCode, c.powerOff},
		{UnplugCode, func() { c.powerOff(); c.vanish() }},
	} {
		if c.fire(f.kind, 0) != nil {
			f.do()
		}
	}
	if c.mode != executing {
		copies = 0
	}
	return b, copies
}

// faultyCodeReply is what code has sent as the line lets it through.
func (c *Chip) faultyCodeReply(p []byte) []byte {
	if len(c.faults) == 0 {
		return p
	}
	var out []byte
	for _, b := range p {
		if f := c.fire(ChangeCodeTalk, 0); f != nil {
			b ^= f.xor()
		}
		if c.fire(DropCodeTalk, 0) == nil {
			out = append(out, b)
		}
	}
	return out
}
