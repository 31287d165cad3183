package esploader

import (
	"bytes"
	"fmt"

	"station/internal/bootlog"
	"station/internal/chip"
)

// console is what a chip says outside frames: the last few KiB of it.
type console struct{ text []byte }

const maxConsole = 4096

func (c *console) add(b byte) {
	if len(c.text) >= 2*maxConsole {
		c.text = append(c.text[:0], c.text[maxConsole:]...)
	}
	c.text = append(c.text, b)
}

func (c *console) forget() {
	clear(c.text[:cap(c.text)])
	c.text = c.text[:0]
}

// restart names the reason of the last reset, "" where there was none.
func (c *console) restart() string {
	if !bytes.Contains(c.text, []byte("rst:0x")) { // asked before each command
		return ""
	}
	resets := bootlog.Parse(c.text).Resets
	if len(resets) == 0 {
		return ""
	}
	last := resets[len(resets)-1]
	return fmt.Sprintf("rst:%#x %s", last.Code, last.Text)
}

// silence says why a chip that was to be in its loader does not answer.
func (c *console) silence() error {
	r := bootlog.Parse(c.text)
	started := r.Entry || r.SecondStage || r.AppStarted || len(r.Findings) > 0
	for _, s := range r.Resets {
		started = started || s.Flash()
	}
	switch {
	case r.DownloadDisabled:
		return chip.ErrDownloadDisabled
	case r.DownloadMode:
		return fmt.Errorf("%w: check the wire to the chip's U0RXD pin", chip.ErrDeaf)
	case r.Brownout:
		return fmt.Errorf("%w: it tells of a brownout", chip.ErrNoAnswer)
	case started:
		return fmt.Errorf("%w: check BOOT, the strap pin beside it and the reset circuit", chip.ErrBootMode)
	case len(c.text) > 0:
		return fmt.Errorf("%w: it prints something else", chip.ErrNoAnswer)
	}
	return fmt.Errorf("%w: check power, cable and EN", chip.ErrNoAnswer)
}
