package xtensa

import "encoding/binary"

// span is the memory at an address, nil where there is none, and the offset in it.
//
//go:norace
func (c *CPU) span(addr uint32) (*Span, uint32) {
	for i := range c.spans {
		s := &c.spans[i]
		if off := addr - s.From; off < uint32(len(s.Data)) {
			return s, off
		}
	}
	return nil, 0
}

// fits reports whether size bytes may be moved at addr, and fails otherwise as the
// chip would with an exception.
//
//go:norace
func (c *CPU) fits(s *Span, addr uint32, size int, what string) bool {
	switch {
	case addr%uint32(size) != 0:
		c.fail("%s of %d bytes at %#08x, which is no multiple of it", what, size, addr)
	case size != 4 && (s == nil || s.Words):
		c.fail("%s of %d bytes at %#08x, where only words can be moved", what, size, addr)
	default:
		return true
	}
	return false
}

//go:norace
func (c *CPU) load(addr uint32, size int) uint32 {
	c.Cycles += loadCycles
	if off := addr - c.bytes.From; off < uint32(len(c.bytes.Data)) && addr%uint32(size) == 0 {
		return peek(c.bytes.Data[off:], size)
	}
	s, off := c.span(addr)
	if !c.fits(s, addr, size, "load") {
		return 0
	}
	if s == nil {
		return c.loadBus(addr)
	}
	return peek(s.Data[off:], size)
}

//go:norace
func peek(p []byte, size int) uint32 {
	switch size {
	case 4:
		return binary.LittleEndian.Uint32(p)
	case 2:
		return uint32(binary.LittleEndian.Uint16(p))
	}
	return uint32(p[0])
}

func (c *CPU) loadBus(addr uint32) uint32 {
	c.Cycles += busCycles
	v, ok := c.bus.Load(addr)
	if !ok {
		c.fail("load at %#08x, where there is nothing", addr)
	}
	return v
}

//go:norace
func (c *CPU) store(addr uint32, size int, v uint32) {
	if off := addr - c.bytes.From; off < uint32(len(c.bytes.Data)) && addr%uint32(size) == 0 {
		poke(c.bytes.Data[off:], size, v)
		return
	}
	s, off := c.span(addr)
	switch {
	case !c.fits(s, addr, size, "store"):
	case s == nil:
		c.storeBus(addr, v)
	default:
		poke(s.Data[off:], size, v)
		c.forget(addr)
	}
}

//go:norace
func poke(p []byte, size int, v uint32) {
	switch size {
	case 4:
		binary.LittleEndian.PutUint32(p, v)
	case 2:
		binary.LittleEndian.PutUint16(p, uint16(v))
	default:
		p[0] = byte(v)
	}
}

func (c *CPU) storeBus(addr, v uint32) {
	c.Cycles += busCycles
	if !c.bus.Store(addr, v) {
		c.fail("store at %#08x, where there is nothing", addr)
	}
}

// forget drops what was decoded around an address that has changed.
func (c *CPU) forget(addr uint32) {
	delete(c.decoded, addr&^(pageSize-1))
	delete(c.decoded, (addr-2)&^(pageSize-1)) // an instruction may begin in the page before
	c.near = nil
}
