package sim

// The ROM's command interpreter, a BASIC: enough of it to be recognised.

const prompt = "OK\r\n>"

// fallback enters the interpreter, unless CONSOLE_DEBUG_DISABLE is burned:
// then the ROM stops.
func (c *Chip) fallback() string {
	if c.fuses.field("CONSOLE_DEBUG_DISABLE") != 0 {
		c.mode = hung
		return ""
	}
	c.mode = inBasic
	c.basic = nil
	return "Falling back to built-in command interpreter.\r\n" + prompt
}

// interpret echoes what is typed and understands none of it.
func (c *Chip) interpret(b byte) {
	const longest = 80
	switch {
	case b == 0:
	case b == '\r' || b == '\n':
		if len(c.basic) == 0 {
			c.print("\r\n>")
		} else {
			c.print("\r\nHow?\r\n>")
		}
		c.basic = nil
	case len(c.basic) < longest:
		c.basic = append(c.basic, b)
		c.print(string([]byte{b}))
	}
}
