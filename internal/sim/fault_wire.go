package sim

// What faults do to commands, bytes and replies.

// beforeCommand returns how often the command is to run; false where it is not.
func (c *Chip) beforeCommand(op byte) (copies int, ok bool) {
	copies = 1
	if len(c.faults) == 0 {
		return copies, true
	}
	for _, f := range []struct {
		kind Kind
		do   func()
	}{
		{DropFrame, func() { copies = 0 }},
		{DoubleFrame, func() { copies = 2 }},
		{Silence, func() { c.mode = hung }},
		{CutBefore, c.powerOff},
		{Unplug, func() { c.powerOff(); c.vanish() }},
		{Vanish, c.vanish},
	} {
		if c.fire(f.kind, op) != nil {
			f.do()
		}
	}
	return copies, c.mode == loading && !c.gone
}

// afterReply restarts the chip in the middle of things, if it is to.
func (c *Chip) afterReply(op byte) {
	switch {
	case len(c.faults) == 0:
	case c.fire(RestartLoader, op) != nil:
		c.restartWith(true)
	case c.fire(RestartApp, op) != nil:
		c.restartWith(false)
	}
}

// restartWith is a reset with GPIO0 held for a moment or not.
func (c *Chip) restartWith(held bool) {
	jumper := c.jumper
	c.jumper = held
	c.start(resetPowerOn)
	c.jumper = jumper
}

// afterCommand reports whether the power went before the reply.
func (c *Chip) afterCommand(op byte) bool {
	if c.fire(CutAfter, op) == nil {
		return false
	}
	c.powerOff()
	return true
}

func (c *Chip) hasByteFaults() bool {
	for _, f := range c.faults {
		if f.Kind == DropByte || f.Kind == DoubleByte || f.Kind == ChangeByte {
			return true
		}
	}
	return false
}

// faultyByte is a byte from the host as it arrives, and how often.
func (c *Chip) faultyByte(b byte) (heard byte, copies int) {
	copies = 1
	frame := c.loader.count + 1
	for _, f := range c.faults {
		if f.Byte != c.loader.offset || f.seen == frame || !f.within(frame) {
			continue
		}
		switch f.Kind {
		case DropByte:
			copies = 0
		case DoubleByte:
			copies = 2
		case ChangeByte:
			b ^= f.xor()
		default:
			continue
		}
		f.seen = frame
	}
	return b, copies
}

// faultyReply sends a reply as the line lets it through.
func (c *Chip) faultyReply(op byte, out []byte) {
	w := &c.wire
	stale := w.last
	w.last = append([]byte(nil), out...)
	if len(c.faults) == 0 {
		c.reply(out)
		return
	}
	if f := c.fire(LateReply, op); f != nil {
		w.late = f.Delay
	}
	if c.fire(StaleReply, op) != nil {
		c.reply(stale)
	}
	if f := c.fire(ForeignReply, op); f != nil {
		c.reply(append([]byte(nil), f.Data...))
	}
	if f := c.fire(TextReply, op); f != nil {
		c.reply([]byte(f.Text))
	}
	for _, f := range []struct {
		kind Kind
		do   func(f *armed, at int) []byte
	}{
		{ChangeReply, func(f *armed, at int) []byte { out[at] ^= f.xor(); return out }},
		{DropReplyByte, func(_ *armed, at int) []byte { return append(out[:at], out[at+1:]...) }},
		{DoubleReplyByte, func(_ *armed, at int) []byte { return append(out[:at+1], out[at:]...) }},
		{CutReply, func(_ *armed, at int) []byte { return out[:at] }},
		{DoubleReply, func(*armed, int) []byte { return append(out, out...) }},
		{DropReply, func(*armed, int) []byte { return nil }},
	} {
		if hit := c.fire(f.kind, op); hit != nil && len(out) > 0 {
			out = f.do(hit, offset(hit.Byte, len(out)))
		}
	}
	if len(out) > 0 {
		c.reply(out)
	}
}

// offset is an index into n bytes, from the end where it is negative.
func offset(at, n int) int {
	if at < 0 {
		at += n
	}
	return min(max(at, 0), n-1)
}
