package sim

import "station/internal/chip"

// tabled are the chips after the ESP32 of which no ROM was traced. Their loader
// does what the C3's does, their fuses and their cipher what the tables say, and
// their console tells that nothing more is known.
func tabled() (list []silicon) {
	for _, f := range chip.Families[1:] {
		if f != chip.ESP32C3 {
			list = append(list, assumed(f))
		}
	}
	return list
}

// assumed is a chip with the C3's habits and its own memories.
func assumed(f *chip.Family) silicon {
	rom := c3
	rom.name, rom.built, rom.minor = f.Name+"-tabled", "not known", 0
	rom.words = map[uint32]uint32{regMagic: f.Loader.Magic}
	rom.strapReg, rom.controlsFrom = 0, f.Efuse.Blocks[0].Write
	rom.rom = []span{{0x40000000, 0x40020000}}
	rom.mapped = []span{{0x3c000000, 0x61000000}}
	return newNewer(f, rom)
}

// spansOf are the spans of a table.
func spansOf(list []chip.Span) (out []span) {
	for _, s := range list {
		out = append(out, span{s.From, s.To})
	}
	return out
}
