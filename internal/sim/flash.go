package sim

import (
	"math/bits"
)

// The NOR flash: programming only clears bits, erasing sets whole sectors.

const (
	pageSize   = 0x100
	sectorSize = 0x1000
	blockSize  = 0x10000
)

type flash struct {
	mem   []byte // length is a power of two: addresses wrap, as the upper address bits are not there
	id    uint32
	wel   bool // write enable latch
	state uint32
}

// idOfSize is the RDID of a Winbond part of that many bytes.
func idOfSize(size int) uint32 { return 0xef | 0x40<<8 | uint32(bits.Len(uint(size))-1)<<16 }

// sizeOfID is what the capacity byte of an RDID says; 4 MiB if it says nothing.
func sizeOfID(id uint32) int {
	if n := id >> 16 & 0xff; n >= 12 && n <= 24 {
		return 1 << n
	}
	return 4 << 20
}

// blankFlash is a flash as bought, with content from address 0.
func blankFlash(size int, id uint32, content []byte) flash {
	mem := erased(size)
	copy(mem, content)
	return flash{mem: mem, id: id}
}

// erased is so many bytes of 0xff. Nobody else has them yet, so the race detector
// need not look on: with it this would be most of what a virtual chip takes to be made.
//
//go:norace
func erased(size int) []byte {
	mem := make([]byte, size)
	for n := copy(mem, "\xff"); n > 0 && n < size; n *= 2 {
		copy(mem[n:], mem[:n])
	}
	return mem
}

// readFlash fills p with raw flash from addr.
func (c *Chip) readFlash(p []byte, addr uint32) {
	mem := c.flash.mem
	for n := 0; n < len(p); {
		n += copy(p[n:], mem[(int(addr)+n)&(len(mem)-1):])
	}
}

// plainFlash is n bytes from addr as the CPU sees them through the cache:
// decrypted where encryption is on. Past the end it reads as erased.
func (c *Chip) plainFlash(addr uint32, n int) []byte {
	from := addr &^ 31
	lead := int(addr - from)
	p := make([]byte, (lead+n+31)&^31)
	have := max(0, min(len(p), len(c.flash.mem)-int(from)))
	c.readFlash(p[:have], from)
	for i := have; i < len(p); i++ {
		p[i] = 0xff
	}
	if c.crypt != nil {
		c.crypt.decrypt(p[:have&^15], from)
	}
	return p[lead : lead+n]
}

// programFlash ANDs p into the flash from addr, page by page.
func (c *Chip) programFlash(p []byte, addr uint32) {
	mem := c.flash.mem
	if len(p) == 0 {
		return
	}
	pages := (int(addr%pageSize) + len(p) + pageSize - 1) / pageSize
	c.meter.PagesProgrammed += pages
	for len(p) > 0 {
		at := int(addr) & (len(mem) - 1)
		n := min(len(p), len(mem)-at)
		dst := mem[at : at+n]
		for i, b := range p[:n] {
			dst[i] &= b
		}
		c.changedFlash(at, n)
		p, addr = p[n:], addr+uint32(n)
	}
}

// eraseFlash sets n sectors from the one at addr.
func (c *Chip) eraseFlash(addr uint32, n int) {
	mem := c.flash.mem
	for i := range n {
		at := (int(addr)&^(sectorSize-1) + i*sectorSize) & (len(mem) - 1)
		c.meter.SectorsErased++
		if c.keepsSector(uint32(at)) {
			continue
		}
		fill(mem[at:at+sectorSize], 0xff)
		c.changedFlash(at, sectorSize)
	}
}

// changedFlash puts stuck bits back and the change on disk.
func (c *Chip) changedFlash(at, n int) {
	c.stickBits(at, n)
	c.store.saveFlash(c.flash.mem, at, n)
}

// fill sets all bytes of p.
func fill(p []byte, b byte) {
	if len(p) == 0 {
		return
	}
	p[0] = b
	for n := 1; n < len(p); n *= 2 {
		copy(p[n:], p[:n])
	}
}
