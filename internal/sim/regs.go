package sim

import (
	"cmp"
	"math"
	"time"

	"station/internal/chip"
)

// The address space that READ_REG and WRITE_REG reach.

const (
	regMagic    = 0x40001000 // a word of the mask ROM by which tools know the chip
	regUARTDiv  = 0x3ff40014
	regUARTDate = 0x3ff40078
	regStrap    = 0x3ff44038
	regRTCCal   = 0x3ff5f06c // the ROM's measurement of the crystal against the 8 MHz oscillator
	regAPBDate  = 0x3ff6607c // bit 31: revision 3

	ahbBase = 0x60000000 // the peripherals from 0x3FF40000 once more
)

// romWords is what is known of the mask ROM, its first five bytes from
// regMagic on. The rest reads as 0, or is refused by a strict chip.
var romWords = map[uint32]uint32{
	regMagic:     0x00f01d83,
	regMagic + 4: 0x00000036,
}

const romKnown = regMagic + 5

// unknown reports a word of which only the real ROM could tell a byte.
func (c *Chip) unknown(addr uint32) bool {
	if addr == chip.MarkAddr && !c.opts.Real {
		return false
	}
	for a := addr; a-addr < 4; a++ {
		if inside(c.si.data().rom, a) && (a < regMagic || a >= romKnown) {
			return true
		}
	}
	return false
}

func (c *Chip) mapped(addr uint32) bool { return inside(c.si.data().mapped, addr) }

// mirrored is the address that an AHB alias stands for.
func mirrored(addr uint32) uint32 {
	if addr >= ahbBase && addr < ahbBase+0x80000 {
		return addr - ahbBase + 0x3ff40000
	}
	return addr
}

// readReg loads a word; false where the load kills the loader.
func (c *Chip) readReg(addr uint32) (uint32, bool) {
	if addr == chip.MarkAddr && !c.opts.Real {
		return chip.Mark, true
	}
	last := addr + 3
	if !c.mapped(addr) || !c.mapped(last) {
		return 0, false
	}
	v := c.readWord(addr &^ 3)
	if shift := addr % 4 * 8; shift != 0 {
		v = v>>shift | c.readWord(last&^3)<<(32-shift)
	}
	return v, true
}

func (c *Chip) readWord(addr uint32) uint32 {
	if off, ok := c.spiReg(addr); ok {
		return c.spi[off/4]
	}
	return c.si.readWord(c, addr)
}

func (esp32) readWord(c *Chip, addr uint32) uint32 {
	if at := mirrored(addr); at != addr {
		return c.readWord(at)
	}
	switch {
	case inside(esp32About.rom, addr):
		return romWords[addr]
	case addr >= fuseBase && addr < fuseEnd:
		return c.readFuseReg(addr - fuseBase)
	}
	switch addr {
	case regUARTDiv:
		return c.uartDivider()
	case regUARTDate:
		return 0x15122500
	case regStrap:
		return uint32(c.straps)
	case regRTCCal:
		return c.calibration() << 7
	case regAPBDate:
		if c.opts.major() == 3 {
			return 0x96042000
		}
		return 0x16042000
	}
	if v, ok := c.memory.word(addr); ok {
		return v
	}
	return c.ram[addr]
}

// writeReg stores the masked bits; false where the store kills the loader.
func (c *Chip) writeReg(addr, value, mask uint32) bool {
	if !c.mapped(addr) || !c.mapped(addr+3) {
		return false
	}
	addr &^= 3
	if mask != math.MaxUint32 {
		value = c.readWord(addr)&^mask | value&mask
	}
	c.writeWord(addr, value)
	return true
}

func (c *Chip) writeWord(addr, value uint32) {
	if off, ok := c.spiReg(addr); ok {
		c.writeSPI(off, value)
		return
	}
	c.si.writeWord(c, addr, value)
}

func (esp32) writeWord(c *Chip, addr, value uint32) {
	if at := mirrored(addr); at != addr {
		c.writeWord(at, value)
		return
	}
	switch {
	case addr >= fuseBase && addr < fuseEnd:
		c.writeFuseReg(addr-fuseBase, value)
	case inside(esp32About.rom, addr):
	case addr == regUARTDiv || addr == regUARTDate || addr == regStrap || addr == regRTCCal || addr == regAPBDate:
	default:
		c.setRAM(addr, value)
	}
}

// setRAM keeps a word that has no meaning of its own.
func (c *Chip) setRAM(addr, value uint32) {
	if c.memory.setWord(addr, value) {
		return
	}
	if c.ram == nil {
		c.ram = map[uint32]uint32{}
	}
	c.ram[addr] = value
}

// delay is the pause that a WRITE_REG asks for.
func (c *Chip) delay(us uint32) {
	d := time.Duration(us) * time.Microsecond
	c.waitFuses(d)
	c.busy(min(d, time.Second))
}

// romHz is what the ROM takes the crystal for.
func (c *Chip) romHz() float64 {
	return float64(cmp.Or(c.opts.Chip.Loader.Assumes, c.opts.Crystal)) * 1e6 * (1 + c.opts.Drift)
}

// calibration is the ROM's count from which romHz follows:
// Hz = count * 15625 * CLK8M_FREQ / 40.
func (c *Chip) calibration() uint32 {
	ck8m := c.fuses.field("CLK8M_FREQ")
	if ck8m == 0 {
		return 0
	}
	return uint32(math.Round(c.romHz()*40/15625/float64(ck8m))) & 0x1ffffff
}

// uartDivider is the UART's clock divider: whole part in the low 20 bits,
// sixteenths above. Autobaud counts edges and comes out one short, as seen.
func (c *Chip) uartDivider() uint32 {
	if c.divider != 0 {
		return c.divider
	}
	return uint32(float64(c.opts.Crystal)*1e6/c.baud) - 1
}

// changeBaud sets the UART as CHANGE_BAUDRATE does: the divider comes from what
// the ROM takes the crystal for, the rate on the wire from the crystal.
func (c *Chip) changeBaud(baud uint32) {
	sixteenths := uint64(c.romHz()*16) / uint64(baud)
	sixteenths = max(sixteenths, 1)
	c.divider = uint32(sixteenths>>4)&0xfffff | uint32(sixteenths&15)<<20
	c.baud = float64(c.opts.Crystal) * 1e6 * 16 / float64(sixteenths)
	c.autobaud = false
}
