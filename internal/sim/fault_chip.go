package sim

// What faults do to flash and fuses.

// faultyMD5 is the digest that the chip tells.
func (c *Chip) faultyMD5(sum []byte) []byte {
	if f := c.fire(LieMD5, opFlashMD5); f != nil {
		sum[0] ^= f.xor()
	}
	return sum
}

// stickBits puts stuck bits right in the n bytes from at.
func (c *Chip) stickBits(at, n int) {
	for _, f := range c.faults {
		i := int(f.Addr)
		if i < at || i >= at+n {
			continue
		}
		switch f.Kind {
		case StuckLow:
			c.flash.mem[i] &^= f.xor()
		case StuckHigh:
			c.flash.mem[i] |= f.xor()
		}
	}
}

// keepsSector reports a sector that does not erase.
func (c *Chip) keepsSector(at uint32) bool {
	for _, f := range c.faults {
		if f.Kind == NoErase && at+sectorSize > f.Addr && at < f.Addr+f.Size {
			return true
		}
	}
	return false
}

// flicker changes fuses as they are read out.
func (c *Chip) flicker(seen *Words) {
	for _, f := range c.faults {
		switch f.Kind {
		case BadMACCRC:
			seen[2] ^= 1 << 16 // of the ESP32
		case FlickerFuse:
			if at, ok := f.fuse(c.opts.Chip); ok && c.fuses.reads%2 == 0 {
				seen[at/32] ^= 1 << (at % 32)
			}
		}
	}
}

// faultyBurn takes away the fresh bits that do not take, and reports whether
// the power went in the middle, and whether check words take.
func (c *Chip) faultyBurn(fresh *Words) (cut, check bool) {
	tried := &c.fuses.tried
	for _, f := range c.faults {
		at, ok := f.fuse(c.opts.Chip)
		if !ok {
			continue
		}
		word, bit := at/32, uint32(1)<<(at%32)
		if f.Kind == StrayFuse && *fresh != (Words{}) {
			fresh[word] |= bit &^ c.fuses.words[word]
		}
		if fresh[word]&bit == 0 {
			continue
		}
		switch {
		case f.Kind == DeadFuse:
			fresh[word] &^= bit
		case f.Kind == WeakFuse && tried[word]&bit == 0:
			tried[word] |= bit
			fresh[word] &^= bit
		}
	}
	f := c.fire(CutBurn, opWriteReg)
	if f == nil {
		return false, true
	}
	for i := range fresh {
		if f.Words == nil {
			fresh[i] = 0
		} else {
			fresh[i] &= f.Words[i]
		}
	}
	return true, f.Words != nil
}
