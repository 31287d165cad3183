package efuse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"station/internal/chip"
)

const (
	attempts  = 3 // of a write whose reply was lost or that reads back wrong
	polls     = 3 // of CMD in one batch, while it programs
	busyLimit = 500 * time.Millisecond
	maxWait   = 16 * time.Millisecond // between looks at a busy controller
	// The ROM waits so long after telling the controller to read: it is done then,
	// and one poll says so.
	latchTime = 100 * time.Microsecond
)

// controller drives the fuse controller of one chip through one stage. CONF
// holds the read code at all times but in the one frame that programs, so that
// no stray write to CMD can burn anything.
type controller struct {
	ctx    context.Context // of this one Burn; without its end once bits are being burned
	regs   Registers
	family *chip.Family
	survey *survey
	timing []chip.RegWrite
	loaded bool // the write registers may hold words

	programmed bool // a program command was sent

	// Registers that need not be written with these values, being taken to hold
	// them. Whether they do is read back every time.
	holds map[uint32]uint32
}

// newController: all write registers are zero after a reset, and nobody else
// writes them.
func newController(ctx context.Context, f *chip.Family, r Registers) *controller {
	f = known(f)
	c := &controller{ctx: ctx, regs: r, family: f, survey: surveyOf(f), holds: map[uint32]uint32{}}
	for _, addr := range c.survey.write {
		c.holds[addr] = 0
	}
	return c
}

// gone reports an error that no second attempt can mend.
func gone(err error) bool {
	return errors.Is(err, chip.ErrPortGone) || errors.Is(err, chip.ErrPortAbsent) || errors.Is(err, chip.ErrPortBusy) ||
		errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// read reads registers. The caller overwrites what may be a key.
func (c *controller) read(addrs []uint32) ([]uint32, error) {
	v, err := c.regs.ReadRegs(c.ctx, addrs...)
	for n := 1; n < attempts && errors.Is(err, chip.ErrRefused); n++ {
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

// settle writes registers until those of stay read back as written, bounded.
// Whether a frame without a reply was executed, and whether one with a reply
// was executed right, is only known from the registers: the ROM looks at no
// checksum here. So what they are taken to hold is not written at first, and
// everything once one of them reads otherwise. The registers of addrs are read
// in the same go and returned.
func (c *controller) settle(writes, stay []chip.RegWrite, addrs ...uint32) ([]uint32, error) {
	// A command leaves no trace: without a reply it is given again.
	command := writes[len(writes)-1].Addr == c.family.Efuse.Cmd
	all := make([]uint32, 0, len(stay)+len(addrs))
	for _, w := range stay {
		all = append(all, w.Addr)
	}
	all = append(all, addrs...)
	frame := c.needed(writes)
	defer func() { clear(frame) }() // of key words
	var werr error
	for range 1 + attempts {
		var got []uint32
		var err error
		got, werr, err = c.exchange(frame, 1, all)
		if err != nil {
			return nil, err
		}
		if gone(werr) {
			break
		}
		right := c.hold(got, stay)
		rest := slices.Clone(got[len(stay):])
		clear(got)
		if right && (werr == nil || !command) {
			c.remember(stay)
			return rest, nil
		}
		clear(rest)
		frame = append(frame[:0], writes...)
	}
	if werr != nil {
		return nil, fmt.Errorf("write fuse registers: %w", werr)
	}
	return nil, fmt.Errorf("%w: the registers read back wrong %d times", ErrRegisters, 1+attempts)
}

// needed is writes without those that would change nothing.
func (c *controller) needed(writes []chip.RegWrite) []chip.RegWrite {
	out := make([]chip.RegWrite, 0, len(writes))
	for _, w := range writes {
		if v, ok := c.holds[w.Addr]; !ok || v != w.Value {
			out = append(out, w)
		}
	}
	return out
}

// remember takes what was read back for granted in the next frame; never the
// words of a key.
func (c *controller) remember(writes []chip.RegWrite) {
	for _, w := range writes {
		delete(c.holds, w.Addr)
		if w.Value == 0 || !slices.Contains(c.survey.write, w.Addr) {
			c.holds[w.Addr] = w.Value
		}
	}
}

// exchange writes in one frame and reads registers once the controller is
// idle. werr is what is wrong with the writes.
func (c *controller) exchange(writes []chip.RegWrite, polled int, addrs []uint32) (got []uint32, werr, err error) {
	got, werr = c.regs.WriteRead(c.ctx, writes, append(slices.Repeat([]uint32{c.family.Efuse.Cmd}, polled), addrs...)...)
	switch {
	case gone(werr):
		return nil, werr, nil
	case werr == nil && len(got) == polled+len(addrs) && got[polled-1] == 0:
		return got[polled:], nil, nil
	}
	clear(got)
	got, err = c.idleRead(addrs...)
	return got, werr, err
}

// hold reports whether got is what the writes have left in their registers.
func (c *controller) hold(got []uint32, writes []chip.RegWrite) bool {
	var wrong uint32
	for i, w := range writes {
		mask := w.Mask
		if w.Addr == c.family.Efuse.Conf {
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
	addrs = append(slices.Repeat([]uint32{c.family.Efuse.Cmd}, polls), addrs...)
	start := time.Now()
	for wait := time.Millisecond; ; wait = min(2*wait, maxWait) {
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

// load puts words into the write registers of one block and zeros into all
// others, because one program command burns whatever stands in any of them, and
// proves it by reading everything back.
func (c *controller) load(block int, words []uint32) error {
	e := &c.family.Efuse
	writes := append([]chip.RegWrite{chip.Set(e.Conf, opRead)}, c.timing...)
	writes = slices.Grow(writes, len(c.survey.write)) // no copies of words left behind
	defer func() { clear(writes) }()
	for _, addr := range c.survey.write {
		var v uint32
		if i, mine := c.writeIndex(block, addr); mine && i < len(words) {
			v = words[i]
		}
		writes = append(writes, chip.Set(addr, v))
	}
	c.loaded = true
	_, err := c.settle(writes, writes)
	return err
}

// writeIndex is the place in a block's loaded words that a write register has.
func (c *controller) writeIndex(block int, addr uint32) (int, bool) {
	e := &c.family.Efuse
	b := e.Blocks[block]
	if i := (addr - b.Write) / 4; addr >= b.Write && i < uint32(b.Words) {
		return int(i), true
	}
	if i := (addr - e.Check) / 4; e.Check != 0 && addr >= e.Check && i < 3 {
		return 8 + int(i), true
	}
	return 0, false
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
	e := &c.family.Efuse
	command := uint32(cmdProgram)
	if e.Named {
		command |= uint32(block) << 2
	}
	delete(c.holds, e.Conf)
	c.programmed = true
	_, werr, err := c.exchange([]chip.RegWrite{chip.Set(e.Conf, opProgram), chip.Set(e.Cmd, command)}, polls, nil)
	if gone(werr) {
		err = werr
	}
	if err != nil {
		return fmt.Errorf("program fuses: %w", err)
	}
	return nil
}

// latch makes the chip read its fuses anew and returns registers after that.
// It leaves the controller safe: the write registers of the blocks given are
// zero, CONF holds the read code.
func (c *controller) latch(addrs []uint32, clean ...int) ([]uint32, error) {
	e := &c.family.Efuse
	var writes, stay []chip.RegWrite
	for _, addr := range c.survey.write {
		zero := chip.Set(addr, 0)
		if writes = append(writes, zero); slices.ContainsFunc(clean, func(b int) bool { _, mine := c.writeIndex(b, addr); return mine }) {
			stay = append(stay, zero)
		}
	}
	read := chip.Set(e.Cmd, cmdRead)
	read.Delay = latchTime
	writes = append(writes, chip.Set(e.Conf, opRead), read)
	stay = append(stay, chip.Set(e.Conf, opRead))
	got, err := c.settle(writes, stay, addrs...)
	if err == nil && len(clean) > 0 {
		c.loaded = false
	}
	return got, err
}

// safe clears the controller after an error: a key must not stay in WDATA,
// and the program code not in CONF.
func (c *controller) safe(err error) error {
	if !c.loaded || errors.Is(err, chip.ErrPortGone) {
		return err
	}
	c.ctx = context.WithoutCancel(c.ctx)
	clear(c.holds)
	every := make([]int, len(c.family.Efuse.Blocks))
	for b := range every {
		every[b] = b
	}
	v, cerr := c.latch(nil, every...)
	clear(v)
	if cerr != nil {
		return fmt.Errorf("%w (and the fuse registers could not be cleared: take the device off its supply)", err)
	}
	return err
}
