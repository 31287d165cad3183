package firmware

import (
	"fmt"
	"slices"

	"station/internal/chip"
)

// chipName is that of the chip with an ID in image headers (esp_chip_id_t).
func chipName(id uint16) string {
	if f := chip.ByImageID(uint32(id)); f != nil {
		return "the " + f.Title
	}
	return fmt.Sprintf("chip %d", id)
}

// Chip names the chip that the image is built for.
func (i *Image) Chip() string { return chipName(i.ChipID) }

// speed is the flash's frequency by its code in the header; false where the chip has
// none of that code. A chip that is not known may have any.
func (i *Image) speed(code byte) (string, bool) {
	f := chip.ByImageID(uint32(i.ChipID))
	if f == nil {
		return fmt.Sprintf("%#x", code), true
	}
	if name, ok := f.Speeds[code]; ok {
		return name, true
	}
	return fmt.Sprintf("%#x", code), false
}

// pageOf is the page of a segment that stays in flash, 0 for any other. Where
// the firmware chooses its page, the descriptor of ESP-IDF 5.1 and later tells
// the choice; older ones are not held to any.
func (i *Image) pageOf(s Segment, app []byte) uint32 {
	f := chip.ByImageID(uint32(i.ChipID))
	switch {
	case f == nil || !slices.ContainsFunc(f.Mapped, func(m chip.Span) bool { return s.Load >= m.From && s.Load < m.To }):
		return 0
	case !f.OwnPage:
		return pageSize
	case parseApp(app) != nil && app[appPageAt] >= 12 && app[appPageAt] <= 16:
		return 1 << app[appPageAt]
	}
	return 0
}
