package firmware

import (
	"cmp"
	"fmt"
)

// imageRules is what differs between the chips in the rules of an image
// (esp_chip_id_t, ext_mem_defs.h and the bootloader's header of each).
type imageRules struct {
	name   string
	freqs  codes       // flash frequency in the header
	mapped [][2]uint32 // addresses of segments that stay in flash: from, below
	page   uint32      // what the flash cache maps at a time; 0: the firmware chooses
}

// c6Speed is that of the newer chips, which write 40m and 80m alike in places.
var c6Speed = codes{{"40m or 80m", 0, false}, {"20m", 2, false}, {"80m", 0xf, false}}

// chips by their ID in the header. One that is not here is not known.
var chips = map[uint16]imageRules{
	ChipESP32: {"the ESP32", freqs, [][2]uint32{{0x3f400000, 0x3f800000}, {0x400d0000, 0x40400000}}, pageSize},
	2:         {"the ESP32-S2", freqs, [][2]uint32{{0x3f000000, 0x3ff80000}, {0x40080000, 0x40800000}}, pageSize},
	5:         {"the ESP32-C3", freqs, [][2]uint32{{0x3c000000, 0x3c800000}, {0x42000000, 0x42800000}}, pageSize},
	9:         {"the ESP32-S3", freqs, [][2]uint32{{0x3c000000, 0x3e000000}, {0x42000000, 0x44000000}}, pageSize},
	12: {"the ESP32-C2", codes{{"30m", 0, false}, {"20m", 1, false}, {"15m", 2, false}, {"60m", 0xf, false}},
		[][2]uint32{{0x3c000000, 0x3c400000}, {0x42000000, 0x42400000}}, 0},
	13: {"the ESP32-C6", c6Speed, [][2]uint32{{0x42000000, 0x43000000}}, 0},
	16: {"the ESP32-H2", codes{{"24m", 0, false}, {"16m", 1, false}, {"12m", 2, false}, {"48m", 0xf, false}}, [][2]uint32{{0x42000000, 0x43000000}}, 0},
	18: {"the ESP32-P4", c6Speed, [][2]uint32{{0x40000000, 0x44000000}}, pageSize},
	20: {"the ESP32-C61", c6Speed, [][2]uint32{{0x42000000, 0x44000000}}, 0},
	23: {"the ESP32-C5", c6Speed, [][2]uint32{{0x42000000, 0x44000000}}, 0},
}

// chipName is esp_chip_id_t.
func chipName(id uint16) string { return cmp.Or(chips[id].name, fmt.Sprintf("chip %d", id)) }

// pageOf is the page of a segment that stays in flash, 0 for any other. Where
// the firmware chooses its page, the descriptor of ESP-IDF 5.1 and later tells
// the choice; older ones are not held to any.
func (c imageRules) pageOf(s Segment, app []byte) uint32 {
	for _, m := range c.mapped {
		if s.Load < m[0] || s.Load >= m[1] {
			continue
		}
		if c.page == 0 && parseApp(app) != nil && app[appPageAt] >= 12 && app[appPageAt] <= 16 {
			return 1 << app[appPageAt]
		}
		return c.page
	}
	return 0
}

// Chip names the chip that the image is built for.
func (i *Image) Chip() string { return chipName(i.ChipID) }
