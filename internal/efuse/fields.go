// Package efuse says what fuses mean: fields, coding schemes and protections, by
// the tables of package chip. Planning is pure; only Burn touches a chip, and
// only package flow calls it.
package efuse

import "station/internal/chip"

// known is the family; a zero Image is a blank ESP32.
func known(f *chip.Family) *chip.Family { return chip.Known(f) }

// value cuts a field of at most 64 bits out of its block.
func value(f chip.Field, words []uint32) uint64 {
	var v uint64
	for i := range f.Width {
		bit := f.Bit + i
		v |= uint64(words[f.Word+bit/32]>>(bit%32)&1) << i
	}
	return v
}

// put sets the bits of v in a field of at most 32 bits.
func put(f chip.Field, words []uint32, v uint32) {
	words[f.Word] |= v << f.Bit
	if over := f.Bit + f.Width - 32; over > 0 {
		words[f.Word+1] |= v >> (f.Width - over)
	}
}

// frozen reports whether the mask WR_DIS, which begins BLOCK0, freezes the field.
func frozen(block0 []uint32, e *chip.Efuse, f chip.Field) bool {
	mask, _ := e.Field("WR_DIS")
	return f.Name != "" && f.WriteDisable >= 0 && value(mask, block0)>>f.WriteDisable&1 == 1
}

// hiddenBlock reports whether RD_DIS hides a block, or half of it.
func hiddenBlock(e *chip.Efuse, block0 []uint32, block int) bool {
	mask, _ := e.Field("RD_DIS")
	return uint32(value(mask, block0))&e.Blocks[block].ReadMask() != 0
}

// hiddenWord reports whether RD_DIS hides a word of a block.
func hiddenWord(e *chip.Efuse, block0 []uint32, block, word int) bool {
	mask, _ := e.Field("RD_DIS")
	b := e.Blocks[block]
	hides := b.ReadMask()
	if b.ReadHalves {
		hides = 1 << (b.ReadDisable + word/4)
	}
	return uint32(value(mask, block0))&hides != 0
}
