package sim

import "encoding/binary"

// SPI1, through which a host talks to the flash chip by register writes: a
// command of its own making, started by bit 18 of CMD.

const (
	spiBase = 0x3ff42000 // of the ESP32
	spiSize = 0x100
	spiCMD  = 0x00
	spiADDR = 0x04

	userGo   = 1 << 18
	userAddr = 1 << 30
	userMISO = 1 << 28
	userMOSI = 1 << 27
)

// spiRegisters are where a family's registers begin and the offsets of those
// that are not everywhere in the same place.
type spiRegisters struct {
	base                               uint32
	user, user1, user2, mosi, miso, w0 uint32
	addrLow                            bool   // ADDR holds the address in its low bits
	userReset                          uint32 // USER after a reset
}

// spiReg is the offset of a register of SPI1.
func (c *Chip) spiReg(addr uint32) (off uint32, ok bool) {
	base := c.si.data().spi.base
	return addr - base, addr >= base && addr < base+spiSize
}

func (c *Chip) writeSPI(off, v uint32) {
	c.spi[off/4] = v
	if off == spiCMD {
		c.spi[0] = 0 // done at once
		if v&userGo != 0 {
			c.spiCommand()
		}
	}
}

// spiCommand runs the user command set up in the registers.
func (c *Chip) spiCommand() {
	reg := func(off uint32) uint32 { return c.spi[off/4] }
	at := c.si.data().spi
	user := reg(at.user)
	var addr uint32
	if user&userAddr != 0 {
		addr = reg(spiADDR)
		if !at.addrLow {
			addr >>= 31 - reg(at.user1)>>26 // the top bits are sent
		}
	}
	var in, out [64]byte
	sent := 0
	if user&userMOSI != 0 {
		for i := range 16 {
			binary.LittleEndian.PutUint32(in[4*i:], c.spi[at.w0/4+uint32(i)])
		}
		sent = min(int(reg(at.mosi)&0xfff)/8+1, len(in))
	}
	want := 0
	if user&userMISO != 0 {
		want = min(int(reg(at.miso)&0xfff)/8+1, len(out))
	}
	c.norCommand(byte(reg(at.user2)), addr, in[:sent], out[:want])
	for i := range (want + 3) / 4 {
		c.spi[at.w0/4+uint32(i)] = binary.LittleEndian.Uint32(out[4*i:])
	}
}

// sfdp is the head of the discovery table: its signature, revision 1.0.
var sfdp = []byte("SFDP\x00\x01\x00\xff")

// norCommand is the flash chip's side of the bus: opcodes of the 25 series.
func (c *Chip) norCommand(op byte, addr uint32, in, out []byte) {
	f := &c.flash
	fill(out, 0xff)
	switch op {
	case 0x9f:
		copy(out, []byte{byte(f.id), byte(f.id >> 8), byte(f.id >> 16)})
	case 0x5a:
		if int(addr) < len(sfdp) {
			copy(out, sfdp[addr:])
		}
	case 0x05: // status 1: not busy, WEL in bit 1
		wel := byte(0)
		if f.wel {
			wel = 2
		}
		fill(out, byte(f.state)|wel)
	case 0x35:
		fill(out, byte(f.state>>8))
	case 0x15:
		fill(out, byte(f.state>>16))
	case 0x06, 0x50:
		f.wel = true
	case 0x04:
		f.wel = false
	case 0x03, 0x0b:
		c.readFlash(out, addr)
	case 0x01, 0x31, 0x11, 0x02, 0x20, 0xd8, 0xc7, 0x60:
		if f.wel {
			c.norWrite(op, addr, in)
		}
		f.wel = false
	}
}

// norWrite is a command that needs the write enable latch.
func (c *Chip) norWrite(op byte, addr uint32, in []byte) {
	f := &c.flash
	switch op {
	case 0x01:
		for i, b := range in[:min(len(in), 3)] {
			f.state = f.state&^(0xff<<(8*i)) | uint32(b)<<(8*i)
		}
		f.state &^= 3 // WIP and WEL are not written
	case 0x31, 0x11:
		if len(in) > 0 {
			shift := map[byte]int{0x31: 8, 0x11: 16}[op]
			f.state = f.state&^(0xff<<shift) | uint32(in[0])<<shift
		}
	case 0x02:
		room := pageSize - int(addr%pageSize) // past the page's end the chip wraps within it
		c.programFlash(in[:min(len(in), room)], addr)
		c.programFlash(in[min(len(in), room):], addr&^(pageSize-1))
	case 0x20:
		c.eraseFlash(addr, 1)
	case 0xd8:
		c.eraseFlash(addr&^(blockSize-1), blockSize/sectorSize)
	case 0xc7, 0x60:
		c.eraseFlash(0, len(f.mem)/sectorSize)
	}
}
