package sim

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// Port is the host's end of a chip's wire. Read and Write may be used from
// different goroutines.
type Port struct {
	chip     *Chip
	baud     float64        // 0: follows the chip's
	tune     func() float64 // where the rate is kept elsewhere
	deadline time.Time
	err      error // why it is dead
}

// Open plugs a program into the chip's port, at 115200 baud with DTR and RTS
// released. There is one at a time: ErrBusy. ErrUnplugged while the cable is out.
func (c *Chip) Open() (*Port, error) { return c.open(consoleBaud) }

func (c *Chip) open(baud float64) (*Port, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.gone:
		return nil, fmt.Errorf("open virtual port: %w", ErrUnplugged)
	case c.port != nil:
		return nil, fmt.Errorf("open virtual port: %w", ErrBusy)
	}
	c.port = &Port{chip: c, baud: baud}
	c.wire.out, c.wire.queued = nil, 0
	c.wire.lineIn = time.Time{}
	c.rounds = 0
	return c.port, nil
}

// rate is the host's baud rate, 0 where it follows the chip's.
func (p *Port) rate() float64 {
	if p.tune != nil {
		return p.tune()
	}
	return p.baud
}

// release takes the port off the chip.
func (p *Port) release(why error) {
	if p.err != nil {
		return
	}
	p.err = why
	p.chip.port = nil
	p.chip.wire.out, p.chip.wire.queued = nil, 0
	p.chip.wire.wake()
}

// Close releases the port; DTR and RTS fall back. The chip stays as it is.
func (p *Port) Close() error {
	p.chip.mu.Lock()
	defer p.chip.mu.Unlock()
	if p.err == nil {
		p.chip.hostActs(time.Now())
		p.chip.setLines(false, false)
	}
	p.release(net.ErrClosed)
	return nil
}

// Read waits for at least one byte. Past the deadline it returns
// os.ErrDeadlineExceeded, without the cable ErrUnplugged.
func (p *Port) Read(b []byte) (int, error) {
	c := p.chip
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		now := time.Now()
		if p.err != nil {
			return 0, fmt.Errorf("read virtual port: %w", p.err)
		}
		c.settle(now)
		if n := c.wire.take(b, now, p.rate); n > 0 || len(b) == 0 {
			return n, nil
		}
		if !p.deadline.IsZero() && !now.Before(p.deadline) {
			return 0, fmt.Errorf("read virtual port: %w", os.ErrDeadlineExceeded)
		}
		if c.answerOfCode(now) {
			continue
		}
		p.wait(now)
	}
}

// wait sleeps, unlocked, until something may have changed.
func (p *Port) wait(now time.Time) {
	c := p.chip
	until := p.deadline
	sooner := func(t time.Time) {
		if !t.IsZero() && (until.IsZero() || t.Before(until)) {
			until = t
		}
	}
	sooner(c.nextEvent())
	if len(c.wire.out) > 0 {
		sooner(c.wire.out[0].at)
	}
	changed := c.wire.change()
	c.mu.Unlock()
	defer c.mu.Lock()
	if until.IsZero() {
		<-changed
		return
	}
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-changed:
	case <-timer.C:
	}
}

// Write sends bytes to the chip. A chip without power or in reset hears
// nothing, and Write says nothing about it.
func (p *Port) Write(b []byte) (int, error) {
	c := p.chip
	c.mu.Lock()
	pause, n, err := p.write(b)
	c.mu.Unlock()
	if pause > 0 {
		time.Sleep(pause)
	}
	return n, err
}

func (p *Port) write(b []byte) (pause time.Duration, n int, err error) {
	c := p.chip
	if p.err != nil {
		return 0, 0, fmt.Errorf("write virtual port: %w", p.err)
	}
	if !c.rising.IsZero() {
		c.start(resetPowerOn) // who sends already has waited long enough
	}
	now := time.Now()
	c.hostActs(now)
	if c.core != nil {
		c.core.seen = now
	}
	c.meter.BytesIn += len(b)
	rate := p.rate()
	if c.autobaud && c.mode == loading && rate != 0 {
		c.baud, c.autobaud = rate, false
	}
	heard := garble(b, rate, c.baud)
	start := later(c.wire.lineIn, now.Add(-c.wire.slip))
	if rate == 0 {
		rate = c.baud
	}
	perByte := c.opts.Times.onWire(1, rate)
	for i, v := range heard {
		if c.opts.Pace {
			c.wire.lineIn = start.Add(time.Duration(i+1) * perByte)
		}
		if c.hear(v); p.err != nil {
			return 0, i, fmt.Errorf("write virtual port: %w", p.err)
		}
	}
	if c.opts.Pace {
		pause = c.wire.lineIn.Sub(now) - hostBuffer*perByte
	}
	return pause, len(b), nil
}

// hear passes one byte on to whatever runs on the chip.
func (c *Chip) hear(b byte) {
	copies := 1
	switch {
	case c.mode == executing:
		b, copies = c.faultyCodeByte(b)
	case c.loader.frameFaults:
		b, copies = c.faultyByte(b)
	}
	for range copies {
		switch c.mode {
		case loading:
			c.loader.offset++
			if frame, ok := c.loader.frames.Push(b); ok {
				c.loader.offset = 0
				c.frame(frame)
			}
		case inBasic:
			c.interpret(b)
		case executing:
			c.core.hears(b)
		}
	}
}

// SetReadDeadline bounds Read; a time in the past makes it return what is
// there, the zero time makes it wait for ever.
func (p *Port) SetReadDeadline(t time.Time) error {
	p.chip.mu.Lock()
	defer p.chip.mu.Unlock()
	p.deadline = t
	p.chip.wire.wake()
	return nil
}

// SetBaud sets the host's rate. What the chip sends at another one arrives as garbage.
func (p *Port) SetBaud(baud int) error {
	if baud <= 0 {
		return fmt.Errorf("set baud rate %d: %w", baud, errors.ErrUnsupported)
	}
	p.chip.mu.Lock()
	defer p.chip.mu.Unlock()
	p.baud = float64(baud)
	return nil
}

// SetLines sets DTR and RTS (true: asserted). errors.ErrUnsupported on a chip without them.
func (p *Port) SetLines(dtr, rts bool) error {
	c := p.chip
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.opts.NoLines:
		return fmt.Errorf("set DTR and RTS: %w", errors.ErrUnsupported)
	case p.err != nil:
		return fmt.Errorf("set DTR and RTS: %w", p.err)
	}
	c.setLines(dtr, rts)
	return nil
}
