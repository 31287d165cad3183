package sim

import "station/internal/chip"

// The fuse controller of the chips after the ESP32: one set of write registers,
// a command that names its block, and blocks that are programmed once.

const (
	laterCheck  = 0x020 // three words
	laterRead   = 0x02c
	laterIntRaw = 0x1d8
	laterIntSt  = 0x1dc
	laterIntEna = 0x1e0
	laterIntClr = 0x1e4
	laterWrite  = 11 // registers: eight of data, three of check
)

func (newer) resetFuses(c *Chip) { c.fuses.controls = map[uint32]uint32{} }

// loadFuses is the read operation.
func (l newer) loadFuses(c *Chip) {
	f := &c.fuses
	seen := c.seenFuses()
	hidden := f.hidden()
	f.status = [2]uint32{}
	for b, blk := range l.family.Efuse.Blocks {
		at := l.start[b]
		if b == 0 {
			continue
		}
		data, mended, failed := f.decoded(&seen, b)
		copy(seen[at:at+blk.Words], data[:])
		if hidden[at] == 0 {
			f.complain(blk, mended, failed)
		}
	}
	for i := range seen {
		f.rdata[i] = seen[i] &^ hidden[i]
	}
}

// decoded is a block as its decoder gives it: what it had to mend, and whether it
// could not.
func (f *fuses) decoded(words *Words, block int) (data [8]uint32, mended int, failed bool) {
	copy(data[:], words[f.about.start[block]:][:f.about.family.Efuse.Blocks[block].Words])
	return decodeRS(data, f.check[block])
}

// complain sets a block's bits of the fault registers: three count what was
// mended, one says that it could not be.
func (f *fuses) complain(b chip.Block, mended int, failed bool) {
	counted := 0
	for _, part := range b.Faults {
		for bit := range 32 {
			switch {
			case part.Mask>>bit&1 == 0:
			case counted < 3:
				f.status[part.Register] |= uint32(mended>>counted&1) << bit
				counted++
			case failed:
				f.status[part.Register] |= 1 << bit
			}
		}
	}
}

// encode gives every block the check words of what it holds: a chip is made of
// whole blocks.
func (f *fuses) encode() {
	for b, blk := range f.about.family.Efuse.Blocks {
		if blk.Coding == chip.ReedSolomon {
			var data [8]uint32
			copy(data[:], f.words[f.about.start[b]:][:blk.Words])
			f.check[b] = checkRS(data)
		}
	}
}

// whole reports that every block will have the check words of what it holds.
func (f *fuses) whole(fresh Words) bool {
	after := fuses{about: f.about, words: f.words}
	for i := range fresh {
		after.words[i] |= fresh[i]
	}
	after.encode()
	return after.check == f.check
}

// program burns the write registers into the block that the command named.
func (l newer) program(c *Chip) {
	f := &c.fuses
	var fresh Words
	blk := l.family.Efuse.Blocks[f.block]
	at := l.start[f.block]
	copy(fresh[at:at+blk.Words], f.wdata[:8])
	check := [3]uint32(f.wdata[8:laterWrite])
	locked := f.writeLocked()
	right := l.rightTiming(c)
	for i := range fresh {
		fresh[i] &^= locked[i] | f.words[i]
		if !right {
			fresh[i] &= halfOf(i)
			f.marginal[i] |= fresh[i]
		}
	}
	cut, checked := c.faultyBurn(&fresh)
	if blk.Coding == chip.ReedSolomon && (blk.WriteDisable < 0 || f.field("WR_DIS")>>blk.WriteDisable&1 == 0) {
		for i := range check {
			if checked {
				f.check[f.block][i] |= check[i]
			}
		}
	}
	c.store.saveChecks(f.check, f.whole(fresh))
	c.burn(fresh)
	if cut {
		c.powerOff()
	}
}

// rightTiming reports that the controller was told of its clock.
func (l newer) rightTiming(c *Chip) bool {
	timing, known := l.family.Efuse.Timing[c.opts.Crystal]
	for _, t := range timing {
		known = known && (c.fuses.controls[t.Addr]^t.Value)&t.Mask == 0
	}
	return known
}

func (l newer) readFuseReg(c *Chip, addr uint32) uint32 {
	f, e := &c.fuses, &l.family.Efuse
	c.settleFuses()
	off := addr - l.controlsFrom
	if end := uint32(laterRead + 4*l.size); off < end {
		if off < laterRead {
			return f.wdata[off/4]
		}
		return f.rdata[(off-laterRead)/4]
	}
	for i, status := range e.Status {
		if addr == status {
			return f.status[i]
		}
	}
	switch {
	case addr == e.Conf:
		return f.conf
	case addr == e.Cmd:
		return c.fuseCommand() | uint32(f.block)<<2&-min(f.cmd, 1)
	case off == laterIntRaw:
		return f.raw
	case off == laterIntSt:
		return f.raw & f.ena
	case off == laterIntEna:
		return f.ena
	}
	return f.controls[addr]
}

func (l newer) writeFuseReg(c *Chip, addr, v uint32) {
	f, e := &c.fuses, &l.family.Efuse
	off := addr - l.controlsFrom
	switch {
	case off < laterRead:
		f.wdata[off/4] = v
	case off < uint32(laterRead+4*l.size):
	case addr == e.Conf:
		f.conf = v
	case addr == e.Cmd:
		if block := int(v >> 2 & 0xf); f.cmd == 0 && block < len(e.Blocks) {
			f.block = block
			c.startFuseOp(v & 3)
		}
	case off == laterIntEna:
		f.ena = v
	case off == laterIntClr:
		f.raw &^= v
	default:
		f.controls[addr] = v
	}
}

// newerFactory are the fuses of a chip after the ESP32 as its factory leaves them.
func newerFactory(o Options) (w Words) {
	f := o.Chip
	start, _ := wordsOf(f)
	m, at := o.MAC, start[fieldNamed(f, "MAC").Block]
	w[at] = uint32(m[2])<<24 | uint32(m[3])<<16 | uint32(m[4])<<8 | uint32(m[5])
	w[at+1] = uint32(m[0])<<8 | uint32(m[1])
	set := func(fields []string, v uint32) {
		for _, name := range fields {
			width := fieldNamed(f, name).Width
			SetFieldOf(f, &w, name, v&(1<<width-1))
			v >>= width
		}
	}
	set(f.Loader.Major, uint32(o.major()))
	set(f.Loader.Minor, uint32(o.Minor))
	set([]string{"PKG_VERSION"}, uint32(o.Package))
	return w
}
