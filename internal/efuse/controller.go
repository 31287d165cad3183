package efuse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"station/internal/esp32"
)

const (
	attempts  = 3 // of a write whose reply was lost or that reads back wrong
	polls     = 3 // of CMD in one batch
	busyLimit = 500 * time.Millisecond
)

// controller drives the fuse controller of one chip through one stage. CONF
// holds the read code at all times but in the one frame that programs, so that
// no stray write to CMD can burn anything.
type controller struct {
	ctx    context.Context // of this one Burn; without its end once bits are being burned
	regs   Registers
	timing timing
	loaded bool // WDATA may hold words
}

// gone reports an error that no second attempt can mend.
func gone(err error) bool {
	return errors.Is(err, esp32.ErrPortGone) || errors.Is(err, esp32.ErrPortAbsent) || errors.Is(err, esp32.ErrPortBusy) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// read reads registers. The caller overwrites what may be a key.
func (c *controller) read(addrs []uint32) ([]uint32, error) {
	v, err := c.regs.ReadRegs(c.ctx, addrs...)
	for n := 1; n < attempts && errors.Is(err, esp32.ErrRefused); n++ {
		v, err = c.regs.ReadRegs(c.ctx, addrs...) // there is nothing to refuse: the wire has changed it
	}
	if err == nil && len(v) != len(addrs) {
		err = fmt.Errorf("%w: %d of %d registers read", ErrRegisters, len(v), len(addrs))
	}
	if err != nil {
		clear(v)
		return nil, fmt.Errorf("read fuse registers: %w", err)
	}
	return v, nil
}

// settle writes registers until they read back as written, bounded. Whether a
// frame without a reply was executed, and whether one with a reply was executed
// right, is only known from the registers: the ROM looks at no checksum here.
// The registers of addrs are read in the same go and returned.
func (c *controller) settle(writes []esp32.RegWrite, addrs ...uint32) ([]uint32, error) {
	// A command leaves no trace: without a reply it is given again.
	stay := writes
	command := writes[len(writes)-1].Addr == regCmd
	if command {
		stay = writes[:len(writes)-1]
	}
	var all []uint32
	for _, w := range stay {
		all = append(all, w.Addr)
	}
	all = append(all, addrs...)
	var werr error
	for range attempts {
		werr = c.regs.WriteReg(c.ctx, writes...)
		if gone(werr) {
			break
		}
		got, err := c.idleRead(all...)
		if err != nil {
			return nil, err
		}
		right := hold(got, stay)
		rest := slices.Clone(got[len(stay):])
		clear(got)
		if right && (werr == nil || !command) {
			return rest, nil
		}
		clear(rest)
	}
	if werr != nil {
		return nil, fmt.Errorf("write fuse registers: %w", werr)
	}
	return nil, fmt.Errorf("%w: the registers read back wrong %d times", ErrRegisters, attempts)
}

// hold reports whether got is what the writes have left in their registers.
func hold(got []uint32, writes []esp32.RegWrite) bool {
	var wrong uint32
	for i, w := range writes {
		mask := w.Mask
		if w.Addr == regConf {
			mask = 0xffff // only the operation code is documented to stay
		}
		wrong |= (got[i] ^ w.Value) & mask
	}
	return wrong == 0
}

// idleRead reads registers once the controller is idle: what was read with it
// busy is worth nothing. A few polls of CMD go ahead in the same batch, so that
// a short operation costs no round trip of its own.
func (c *controller) idleRead(addrs ...uint32) ([]uint32, error) {
	addrs = append(slices.Repeat([]uint32{regCmd}, polls), addrs...)
	start := time.Now()
	for wait := time.Millisecond; ; wait *= 2 {
		got, err := c.read(addrs)
		if err != nil {
			return nil, err
		}
		if got[polls-1] == 0 {
			return got[polls:], nil
		}
		clear(got)
		if time.Since(start) > busyLimit {
			return nil, fmt.Errorf("%w: still busy after %v", ErrRegisters, busyLimit)
		}
		time.Sleep(wait)
	}
}

// load puts words into WDATA of one block and zeros into that of all others,
// because one program command burns whatever stands in any of the 31 words,
// and proves it by reading everything back.
func (c *controller) load(block int, words []uint32) error {
	writes := append([]esp32.RegWrite{esp32.Set(regConf, opRead)}, c.timing.writes()...)
	writes = slices.Grow(writes, fuseWords) // no copies of words left behind
	defer func() { clear(writes) }()
	for b, blk := range blocks {
		for w := range blk.words {
			var v uint32
			if b == block {
				v = words[w]
			}
			writes = append(writes, esp32.Set(blk.write+4*uint32(w), v))
		}
	}
	c.loaded = true
	_, err := c.settle(writes)
	return err
}

// program burns words into one block. When it returns without an error the
// controller is idle; what is burned only a latch can tell.
func (c *controller) program(block int, words []uint32) error {
	if err := c.load(block, words); err != nil {
		return err
	}
	if err := c.ctx.Err(); err != nil {
		return err
	}
	c.ctx = context.WithoutCancel(c.ctx)
	// One frame: were one of its words changed on the wire, nothing would be
	// programmed. Without a reply it may have been; that shows in the fuses,
	// so the command is never simply given again.
	err := c.regs.WriteReg(c.ctx, esp32.Set(regConf, opProgram), esp32.Set(regCmd, cmdProgram))
	if gone(err) {
		return fmt.Errorf("program fuses: %w", err)
	}
	_, err = c.idleRead()
	return err
}

// latch makes the chip read its fuses anew and returns registers after that.
// It leaves the controller safe: WDATA of the blocks given is zero, CONF holds
// the read code.
func (c *controller) latch(addrs []uint32, clean ...int) ([]uint32, error) {
	var writes []esp32.RegWrite
	for _, b := range clean {
		for w := range blocks[b].words {
			writes = append(writes, esp32.Set(blocks[b].write+4*uint32(w), 0))
		}
	}
	writes = append(writes, esp32.Set(regConf, opRead), esp32.Set(regCmd, cmdRead))
	got, err := c.settle(writes, addrs...)
	if err == nil && len(clean) > 0 {
		c.loaded = false
	}
	return got, err
}

// safe clears the controller after an error: a key must not stay in WDATA,
// and the program code not in CONF.
func (c *controller) safe(err error) error {
	if !c.loaded || errors.Is(err, esp32.ErrPortGone) {
		return err
	}
	c.ctx = context.WithoutCancel(c.ctx)
	v, cerr := c.latch(nil, 0, 1, 2, 3)
	clear(v)
	if cerr != nil {
		return fmt.Errorf("%w (and the fuse registers could not be cleared: take the device off its supply)", err)
	}
	return err
}
