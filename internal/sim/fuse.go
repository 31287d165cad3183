package sim

import (
	"math/bits"
	"time"

	"station/internal/chip"
)

// The eFuse controller at 0x3FF5A000: what its registers do and what one
// program operation changes.

const (
	fuseBase = 0x3ff5a000
	fuseEnd  = fuseBase + 0x200

	fuseRead0 = 0x000 // RDATA of BLOCK0: 7 words
	fuseProg0 = 0x01c // WDATA of BLOCK0: 7 words
	fuseRead1 = 0x038 // RDATA of BLOCK1-3: 24 words
	fuseProg1 = 0x098 // WDATA of BLOCK1-3: 24 words

	fuseCLK     = 0x0f8
	fuseCONF    = 0x0fc
	fuseCMD     = 0x104
	fuseINTRAW  = 0x108
	fuseINTST   = 0x10c
	fuseINTENA  = 0x110
	fuseINTCLR  = 0x114
	fuseDAC     = 0x118
	fuseDEC     = 0x11c
	fuseDATE    = 0x1fc
	opProgram   = 0x5a5a
	opRead      = 0x5aa5
	cmdRead     = 1
	cmdProgram  = 2
	busyPolls   = 2                     // reads of CMD that still find it busy
	busyTime    = 10 * time.Millisecond // after which it is done even if nobody asked
	programTime = 3 * time.Millisecond  // of waiting by WRITE_REG after which it has programmed
	readTime    = 50 * time.Microsecond // or read; both are assumptions
)

// The programming voltage is right only with these clock dividers (CLK SEL0,
// SEL1, DAC_CONF), by crystal: in the loader the bus runs from the crystal.
var fuseTiming = map[int][3]uint32{
	26: {250, 255, 52},
	40: {160, 255, 80},
}

type fuses struct {
	words    [31]uint32 // what is burned, coded as stored
	marginal [31]uint32 // burned with a wrong voltage: reads unsteadily
	tried    [31]uint32 // weak bits that had their first burn
	reads    int        // read operations so far: what flickers, flickers by it

	rdata, wdata  [31]uint32
	clk, conf     uint32
	dac, dec      uint32
	raw, ena, cmd uint32
	polls         int
	began         time.Time
	waited        time.Duration
}

// reset is what a chip reset does: defaults in the registers, fuses read again.
func (c *Chip) resetFuses() {
	f := &c.fuses
	f.wdata = [31]uint32{}
	f.clk, f.conf, f.dac, f.raw, f.ena, f.cmd = 0x4052, 1<<16, 40, 0, 0, 0
	c.loadFuses()
}

// block0 is BLOCK0 as the chip itself sees it, protections or not.
func (f *fuses) field(name string) uint32 { return Field(&f.words, name) }

// coding is the scheme in force: 3 is none.
func (f *fuses) coding() int { return int(f.field("CODING_SCHEME")) % 3 }

// masked are all bits whose WR_DIS (or RD_DIS) bit is burned.
func (f *fuses) masked(disable uint32, by func(chip.Field) int) (m [31]uint32) {
	for _, field := range chip.ESP32.Efuse.Fields {
		if b := by(field); b >= 0 && disable>>b&1 != 0 {
			for bit := range bitsOf(field) {
				m[bit/32] |= 1 << (bit % 32)
			}
		}
	}
	return m
}

func (f *fuses) writeLocked() [31]uint32 {
	return f.masked(f.field("WR_DIS"), func(f chip.Field) int { return f.WriteDisable })
}

func (f *fuses) hidden() [31]uint32 {
	return f.masked(f.field("RD_DIS"), func(f chip.Field) int { return f.ReadDisable })
}

// loadFuses is the read operation: RDATA and DEC_STATUS from the fuses.
func (c *Chip) loadFuses() {
	f := &c.fuses
	f.reads++
	seen := f.words
	for i := range seen {
		if f.reads%2 == 0 {
			seen[i] &^= f.marginal[i]
		}
	}
	c.flicker(&seen)
	f.dec = 0
	hidden := f.hidden()
	for b := 1; b <= 3; b++ {
		at := blockStart[b]
		decoded, status := decodeBlock([8]uint32(seen[at:at+8]), f.coding())
		copy(seen[at:], decoded[:])
		if hidden[at] == 0 {
			f.dec |= uint32(status) << (4 * (b - 1))
		}
	}
	for i := range seen {
		f.rdata[i] = seen[i] &^ hidden[i]
	}
}

// program burns every set bit of every WDATA register at once. Bits only go
// from 0 to 1; WR_DIS as it stood before decides; what is burned now protects
// from the next time on.
func (c *Chip) program() {
	f := &c.fuses
	c.meter.FuseBurns++
	locked := f.writeLocked()
	dial := [3]uint32{f.clk & 0xff, f.clk >> 8 & 0xff, f.dac & 0xff}
	rightTiming := dial == fuseTiming[c.opts.Crystal]
	var fresh [31]uint32
	for i, w := range f.wdata {
		w &^= locked[i]
		fresh[i] = w &^ f.words[i]
		if rightTiming {
			f.marginal[i] &^= w
			continue
		}
		// At a wrong voltage half of the bits do not take and half read unsteadily.
		fresh[i] &= halfOf(i)
		f.marginal[i] |= fresh[i]
	}
	cut := c.faultyBurn(&fresh)
	c.burn(fresh)
	if cut {
		c.powerOff()
	}
}

// halfOf picks half of the bits of a word, always the same.
func halfOf(word int) uint32 { return bits.RotateLeft32(0x6a95_3c96, word*7) }

// burn sets the fresh bits for ever, tells the hook and the disk.
func (c *Chip) burn(fresh [31]uint32) {
	before := c.fuses.words
	after := before
	for i := range after {
		c.meter.FuseBits += bits.OnesCount32(fresh[i] &^ before[i])
		after[i] |= fresh[i]
	}
	if after == before {
		return
	}
	if c.opts.OnBurn != nil {
		c.opts.OnBurn(before, after)
	}
	c.fuses.words = after
	c.store.saveFuses(after)
}

// finish ends the operation under way.
func (c *Chip) finishFuseOp() {
	f := &c.fuses
	if f.cmd&cmdRead != 0 {
		c.loadFuses()
	}
	f.raw |= f.cmd
	f.cmd = 0
}

func (c *Chip) startFuseOp(cmd uint32) {
	f := &c.fuses
	if f.cmd != 0 {
		return
	}
	switch op := f.conf & 0xffff; {
	case cmd&cmdProgram != 0 && op == opProgram:
		f.cmd = cmdProgram
	case cmd&cmdRead != 0 && op == opRead:
		f.cmd = cmdRead
	default:
		return
	}
	f.polls, f.began, f.waited = busyPolls, time.Now(), 0
	if f.cmd == cmdProgram {
		c.program()
		c.busy(c.opts.Times.FuseProgram)
	}
}

// waitFuses lets the time pass that a WRITE_REG asked the chip to wait.
func (c *Chip) waitFuses(d time.Duration) {
	f := &c.fuses
	f.waited += d
	if f.cmd == cmdRead && f.waited >= readTime || f.cmd != 0 && f.waited >= programTime {
		c.finishFuseOp()
	}
}

func (c *Chip) readFuseReg(off uint32) uint32 {
	f := &c.fuses
	if f.cmd != 0 && time.Since(f.began) > busyTime {
		c.finishFuseOp()
	}
	switch {
	case off < fuseProg0:
		return f.rdata[off/4]
	case off < fuseRead1:
		return f.wdata[(off-fuseProg0)/4]
	case off < fuseProg1:
		return f.rdata[7+(off-fuseRead1)/4]
	case off < fuseCLK:
		return f.wdata[7+(off-fuseProg1)/4]
	}
	switch off {
	case fuseCLK:
		return f.clk
	case fuseCONF:
		return f.conf
	case fuseCMD:
		v := f.cmd
		if f.polls--; v != 0 && f.polls <= 0 {
			c.finishFuseOp()
		}
		return v
	case fuseINTRAW:
		return f.raw
	case fuseINTST:
		return f.raw & f.ena
	case fuseINTENA:
		return f.ena
	case fuseDAC:
		return f.dac
	case fuseDEC:
		return f.dec
	case fuseDATE:
		return 0x16042600
	}
	return 0
}

func (c *Chip) writeFuseReg(off, v uint32) {
	f := &c.fuses
	switch {
	case off >= fuseProg0 && off < fuseRead1:
		f.wdata[(off-fuseProg0)/4] = v
		return
	case off >= fuseProg1 && off < fuseCLK:
		f.wdata[7+(off-fuseProg1)/4] = v
		return
	}
	switch off {
	case fuseCLK:
		f.clk = v
	case fuseCONF:
		f.conf = v
	case fuseCMD:
		c.startFuseOp(v)
	case fuseINTENA:
		f.ena = v
	case fuseINTCLR:
		f.raw &^= v
	case fuseDAC:
		f.dac = v
	}
}
