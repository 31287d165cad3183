package flow_test

import (
	"bytes"

	"station/internal/sim"
)

// console changes what a chip prints after it has left its loader.
type console struct {
	*sim.Port
	mute bool   // nothing arrives
	says string // a line of the bootloader's more
	app  bool   // it has left its loader
	seen []byte // since then
	said bool
}

func (c *console) SetLines(dtr, rts bool) error {
	if rts { // a reset
		c.app, c.seen, c.said = !dtr, nil, false
	}
	if dtr {
		c.app = false // GPIO0 is held low
	}
	return c.Port.SetLines(dtr, rts)
}

func (c *console) Read(p []byte) (int, error) {
	n, err := c.Port.Read(p[:len(p)/2])
	for c.app && c.mute && err == nil {
		n, err = c.Port.Read(p)
	}
	if !c.app || c.mute || c.said {
		return n, err
	}
	c.seen = append(c.seen, p[:n]...)
	_, after, found := bytes.Cut(c.seen, []byte("2nd stage bootloader"))
	if _, rest, ended := bytes.Cut(after, []byte("\n")); found && ended {
		c.said = true
		tail := p[n-len(rest) : n]
		n += copy(p[n-len(rest):], append([]byte(c.says+"\r\n"), tail...)) - len(rest)
	}
	return n, err
}
