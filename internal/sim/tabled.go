package sim

import "station/internal/chip"

// tabled are the chips after the ESP32 of which no ROM was traced. Their loader
// does what the C3's does, their fuses and their cipher what the tables say, and
// their console tells that nothing more is known. Memories are those of ESP-IDF's
// linker scripts.
var tabled = []silicon{
	assumed(chip.ESP32S2, []span{{0x3ffb0000, 0x40000000}, {0x40020000, 0x40072000}}, []span{{0x3f000000, 0x3f3f0000}, {0x40080000, 0x40b80000}}),
	assumed(chip.ESP32S3, []span{{0x3fc88000, 0x3fd00000}, {0x40370000, 0x403e0000}}, []span{{0x3c000000, 0x3e000000}, {0x42000000, 0x44000000}}),
	assumed(chip.ESP32C5, []span{{0x40800000, 0x40860000}}, []span{{0x42000000, 0x44000000}}),
	assumed(chip.ESP32C6, []span{{0x40800000, 0x40880000}}, []span{{0x42000000, 0x43000000}}),
	assumed(chip.ESP32C61, []span{{0x40800000, 0x40860000}}, []span{{0x42000000, 0x44000000}}),
	assumed(chip.ESP32H2, []span{{0x40800000, 0x40880000}}, []span{{0x42000000, 0x43000000}}),
	assumed(chip.ESP32P4, []span{{0x4ff00000, 0x4ffc0000}}, []span{{0x40000000, 0x4c000000}}),
}

// assumed is a chip with the C3's habits and its own memories.
func assumed(f *chip.Family, memory, cached []span) silicon {
	rom := c3
	rom.name, rom.built, rom.minor = f.Name+"-tabled", "not known", 0
	rom.words = map[uint32]uint32{regMagic: f.Loader.Magic}
	rom.strapReg, rom.controlsFrom = 0, f.Efuse.Blocks[0].Write
	rom.rom = []span{{0x40000000, 0x40020000}}
	rom.memory, rom.cached = memory, cached
	rom.mapped = []span{{0x3c000000, 0x61000000}}
	return newNewer(f, rom)
}
