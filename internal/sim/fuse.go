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
	about    *about
	words    Words             // what is burned, coded as stored
	check    [11][3]uint32     // burned check words, by block; the ESP32 has them among its words
	status   [2]uint32         // of the decoder; the ESP32 has dec
	block    int               // that is being programmed, where the command names one
	controls map[uint32]uint32 // registers of the later chips' controller that are only kept
	marginal Words             // burned with a wrong voltage: reads unsteadily
	tried    Words             // weak bits that had their first burn
	reads    int               // read operations so far: what flickers, flickers by it

	rdata, wdata  Words
	clk, conf     uint32
	dac, dec      uint32
	raw, ena, cmd uint32
	polls         int
	began         time.Time
	waited        time.Duration
}

// resetFuses is what a chip reset does: defaults in the registers, fuses read again.
func (c *Chip) resetFuses() {
	f := &c.fuses
	f.wdata = Words{}
	f.conf, f.raw, f.ena, f.cmd = 1<<16, 0, 0, 0
	c.si.resetFuses(c)
	c.si.loadFuses(c)
}

func (esp32) resetFuses(c *Chip) { c.fuses.clk, c.fuses.dac = 0x4052, 40 }

// field is a field as the chip itself sees it, protections or not.
func (f *fuses) field(name string) uint32 { return FieldOf(f.about.family, &f.words, name) }

// fieldOr is field, or otherwise on a chip without it.
func (f *fuses) fieldOr(name string, otherwise uint32) uint32 {
	if _, ok := f.about.family.Efuse.Field(name); !ok {
		return otherwise
	}
	return f.field(name)
}

// mac is the factory's address in transmission order.
func (f *fuses) mac() [6]byte {
	lo, hi := f.words[f.about.mac], f.words[f.about.mac+1]
	return [6]byte{byte(hi >> 8), byte(hi), byte(lo >> 24), byte(lo >> 16), byte(lo >> 8), byte(lo)}
}

// coding is the scheme in force: 3 is none.
func (f *fuses) coding() int { return int(f.field("CODING_SCHEME")) % 3 }

// masked are all bits whose WR_DIS (or RD_DIS) bit is burned.
func (f *fuses) masked(disable uint32, by func(chip.Field) int) (m Words) {
	for _, field := range f.about.family.Efuse.Fields {
		if b := by(field); b >= 0 && disable>>b&1 != 0 {
			for bit := range bitsOf(f.about.family, field) {
				m[bit/32] |= 1 << (bit % 32)
			}
		}
	}
	return m
}

func (f *fuses) writeLocked() Words {
	return f.masked(f.field("WR_DIS"), func(f chip.Field) int { return f.WriteDisable })
}

func (f *fuses) hidden() Words {
	return f.masked(f.field("RD_DIS"), func(f chip.Field) int { return f.ReadDisable })
}

// seen is the fuses as one read operation finds them.
func (c *Chip) seenFuses() Words {
	f := &c.fuses
	f.reads++
	seen := f.words
	for i := range seen {
		if f.reads%2 == 0 {
			seen[i] &^= f.marginal[i]
		}
	}
	c.flicker(&seen)
	return seen
}

// loadFuses is the read operation: RDATA and DEC_STATUS from the fuses.
func (esp32) loadFuses(c *Chip) {
	f := &c.fuses
	seen := c.seenFuses()
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
func (esp32) program(c *Chip) {
	f := &c.fuses
	locked := f.writeLocked()
	dial := [3]uint32{f.clk & 0xff, f.clk >> 8 & 0xff, f.dac & 0xff}
	rightTiming := dial == fuseTiming[c.opts.Crystal]
	var fresh Words
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
	cut, _ := c.faultyBurn(&fresh)
	c.burn(fresh)
	if cut {
		c.powerOff()
	}
}

// halfOf picks half of the bits of a word, always the same.
func halfOf(word int) uint32 { return bits.RotateLeft32(0x6a95_3c96, word*7) }

// burn sets the fresh bits for ever, tells the hook and the disk.
func (c *Chip) burn(fresh Words) {
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
		c.si.loadFuses(c)
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
		c.meter.FuseBurns++
		c.si.program(c)
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

// settleFuses ends an operation that has had its time.
func (c *Chip) settleFuses() {
	if f := &c.fuses; f.cmd != 0 && time.Since(f.began) > busyTime {
		c.finishFuseOp()
	}
}

// fuseCommand is a read of CMD: a poll.
func (c *Chip) fuseCommand() uint32 {
	f := &c.fuses
	v := f.cmd
	if f.polls--; v != 0 && f.polls <= 0 {
		c.finishFuseOp()
	}
	return v
}

func (c *Chip) readFuseReg(off uint32) uint32 {
	f := &c.fuses
	c.settleFuses()
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
		return c.fuseCommand()
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
