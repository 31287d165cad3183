package sim

import "encoding/binary"

// refusedNewer is the line of ets_main.c that the ROM names when it gives an
// unsigned bootloader up.
const refusedNewer = 333

// bootFlash is the ROM's part; it ends in the bootloader or goes round.
func (l newer) bootFlash(c *Chip) {
	t := &console{c: c}
	h := header(c.plainFlash(l.family.Bootloader, headerBytes))
	if h[0] != imageMagic || h.segments() > romSegments || h.chipID() != int(l.family.ImageID) {
		for range headerRepeats {
			t.raw("invalid header: 0x%x", binary.LittleEndian.Uint32(h[:]))
		}
		c.restart(resetRTCWDT, c.opts.Times.Watchdog)
		return
	}
	t.raw("SPIWP:0x%02x", h[8])
	divider, _ := h.clock()
	t.raw("mode:%s, clock div:%d", h.modeName(), divider)
	if c.secureBoot2() && !c.romSigned(t, h, refusedNewer) {
		return
	}
	say := func(_, load, size uint32, _ bool) { t.raw("load:0x%08x,len:0x%x", load, size) }
	image, wrong := c.romLoad(t, say, h)
	switch {
	case wrong != "":
		t.raw("%s", wrong)
		c.restart(resetRTCWDT, c.opts.Times.Watchdog)
	case image != nil:
		t.raw("entry 0x%08x", h.entry())
		c.secondStage(h, image)
	}
}
