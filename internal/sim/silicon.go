package sim

import (
	"fmt"
	"slices"

	"station/internal/chip"
)

// silicon is what the chips of one family do their own way. Everything else is
// the same in all.
type silicon interface {
	data() *about

	readWord(c *Chip, addr uint32) uint32 // of the address space
	writeWord(c *Chip, addr, v uint32)
	resetFuses(c *Chip) // the registers of the controller
	loadFuses(c *Chip)  // the read operation
	program(c *Chip)    // what stands in the write registers
	cipher(c *Chip) flashCipher
	trusted(c *Chip) [][]byte // digests of the keys that may sign, or how they begin

	banner(c *Chip, reason int) // the ROM's first words
	bootFlash(c *Chip)
	waits(c *Chip) string // what the ROM says in its loader
	closed(c *Chip) bool  // the loader is, for ever
	end(c *Chip, stay bool, a answer) answer
}

// about is a silicon's data.
type about struct {
	family *chip.Family
	size   int   // of all fuses as read, in words
	start  []int // where each block begins among them
	mac    int   // the word with the low part of the MAC

	strap     byte // that GPIO0, or what stands for it, pulls
	inLoader  byte // straps there
	inFlash   byte
	resets    map[int]string // names of their reasons
	spi       spiRegisters
	mapped    []span // a load elsewhere kills the loader
	rom       []span
	memory    []span // into which segments are loaded
	cached    []span // through which they are mapped
	cores     int
	blocks    int  // of signatures that are looked at
	forgiving bool // the loader answers where the ESP32's hangs or refuses, and encrypts
	revision  int  // of a chip that says nothing else: major
	minor     int
}

// span is some addresses.
type span struct{ from, to uint32 }

func inside(spans []span, addr uint32) bool {
	return slices.ContainsFunc(spans, func(s span) bool { return addr >= s.from && addr < s.to })
}

// siliconOf finds the virtual silicon of a family.
func siliconOf(f *chip.Family) (silicon, error) {
	f = chip.Known(f)
	for _, s := range silicons {
		if s.data().family == f {
			return s, nil
		}
	}
	return nil, fmt.Errorf("virtual chip: there is none of the %s", f.Title)
}

// Families are the families that have virtual chips.
func Families() (list []*chip.Family) {
	for _, s := range silicons {
		list = append(list, s.data().family)
	}
	return list
}

var silicons = append([]silicon{esp32{}, newNewer(chip.ESP32C3, c3)}, tabled()...)

// wordsOf is where the blocks of a family begin among its words, and how many
// words there are.
func wordsOf(f *chip.Family) (start []int, size int) {
	for _, b := range f.Efuse.Blocks {
		start = append(start, size)
		size += b.Words
	}
	return start, size
}
