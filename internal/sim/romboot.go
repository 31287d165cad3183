package sim

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// The mask ROM's boot from flash: read the image at 0x1000 through the flash
// decryptor, load its segments, compare the checksum, jump.

const (
	bootloaderAt  = 0x1000
	imageMagic    = 0xe9
	headerBytes   = 24
	romSegments   = 32
	romSPIModes   = 5
	headerRepeats = 8 // "invalid header" lines before the watchdog bites
)

var spiModes = [...]string{"QIO", "QOUT", "DIO", "DOUT", "FAST READ", "SLOW READ"}

// header is the image's first 24 bytes.
type header [headerBytes]byte

func (h header) segments() int { return int(h[1]) }
func (h header) spiMode() int  { return int(h[2]) }
func (h header) entry() uint32 { return binary.LittleEndian.Uint32(h[4:]) }
func (h header) chipID() int   { return int(binary.LittleEndian.Uint16(h[12:])) }
func (h header) minRev() int   { return int(binary.LittleEndian.Uint16(h[15:])) }
func (h header) maxRev() int   { return int(binary.LittleEndian.Uint16(h[17:])) }
func (h header) hashed() bool  { return h[23] == 1 }

// flashSize is what the header's size code stands for; 2 MiB for codes without a meaning.
func (h header) flashSize() int {
	if code := h[3] >> 4; code <= 7 {
		return 1 << 20 << code
	}
	return 2 << 20
}

func (h header) modeName() string {
	if h.spiMode() < len(spiModes) {
		return spiModes[h.spiMode()]
	}
	return "?"
}

// clock is the divider of 80 MHz and its name.
func (h header) clock() (divider int, name string) {
	switch h[3] & 15 {
	case 1:
		return 3, "26.7MHz"
	case 2:
		return 4, "20MHz"
	case 15:
		return 1, "80MHz"
	}
	return 2, "40MHz"
}

// bootFlash is the ROM's part; it ends in the bootloader or goes round.
func (c *Chip) bootFlash() {
	t := &console{c: c}
	h := header(c.plainFlash(bootloaderAt, headerBytes))
	newROM := c.opts.major() == 3
	switch {
	case h[0] == imageMagic && h.segments() <= romSegments && h.spiMode() <= romSPIModes && (!newROM || h.chipID() == 0):
	case newROM:
		for range headerRepeats {
			if h[0] == imageMagic && h.segments() <= romSegments && h.spiMode() <= romSPIModes {
				t.raw("wrong chip id 0x%04x", h.chipID())
			} else {
				t.raw("invalid header: 0x%08x", binary.LittleEndian.Uint32(h[:]))
			}
		}
		c.restart(resetRTCWDT, c.opts.Times.Watchdog)
		return
	default:
		t.raw("flash read err, %x", bootloaderAt)
		c.giveUp(371)
		return
	}
	t.raw("configsip: 0, SPIWP:0x%02x", h[8])
	t.raw("clk_drv:0x%02x,q_drv:0x%02x,d_drv:0x%02x,cs0_drv:0x%02x,hd_drv:0x%02x,wp_drv:0x%02x",
		h[9]&15, h[9]>>4, h[10]&15, h[10]>>4, h[11]&15, h[11]>>4)
	divider, _ := h.clock()
	t.raw("mode:%s, clock div:%d", h.modeName(), divider)
	if c.secureBoot2() {
		t.raw("secure boot v2 enabled")
		if !c.romSigned(t, h, refusedV2) {
			return
		}
	}
	say := func(at, load, size uint32, last bool) {
		t.raw("load:0x%08x,len:%d", load, int32(size))
		if !last && c.inRAM(load, size) {
			splitHeader(t, at, size)
		}
	}
	image, wrong := c.romLoad(t, say, h)
	switch {
	case wrong != "":
		t.raw("%s", wrong)
		c.giveUp(384)
	case image != nil && (!c.secureBoot1() || c.romDigest(t, image)):
		t.raw("entry 0x%08x", h.entry())
		c.secondStage(h, image)
	}
}

// giveUp is the end of a boot that found nothing to run: the interpreter, or, with
// it disabled, a line number and the watchdog.
func (c *Chip) giveUp(line int) {
	if text := c.fallback(); text != "" {
		c.print(text)
		return
	}
	t := console{c: c}
	t.raw("ets_main.c %d ", line)
	c.mode = running
	c.restart(resetRTCWDT, c.opts.Times.Watchdog)
}

// romLoad loads the segments, says so, and returns all that it read, or what is
// wrong with its checksum; neither where the watchdog ends it.
func (c *Chip) romLoad(t *console, say func(at, load, size uint32, last bool), h header) (image []byte, wrong string) {
	start := c.opts.Chip.Bootloader
	at := uint32(headerBytes)
	sum := byte(checksumSeed)
	for i := range h.segments() {
		seg := c.plainFlash(start+at, 8)
		load, size := binary.LittleEndian.Uint32(seg), binary.LittleEndian.Uint32(seg[4:])
		at += 8
		say(at, load, size, i+1 == h.segments())
		if !c.inRAM(load, size) {
			c.restart(resetRTCWDT, c.opts.Times.Watchdog)
			return nil, ""
		}
		for _, b := range c.plainFlash(start+at, int(size)) {
			sum ^= b
		}
		at += size
	}
	if stored := c.plainFlash(start+(at|15), 1)[0]; sum != stored {
		return nil, fmt.Sprintf("csum err:0x%02x!=0x%02x", sum, stored)
	}
	return c.plainFlash(start, int(at|15)+1), ""
}

// splitHeader prints what the ROM says when the next segment's header does
// not lie within the 16 bytes it holds: ho and tail are what is left over
// before and after the whole blocks of the segment from at.
func splitHeader(t *console, at, size uint32) {
	ho, tail := at%16, size
	if head := (16 - ho) % 16; size >= head {
		ho, tail = 0, (size-head)%16
	}
	if room := 16 - (at+size)%16; room < 8 {
		t.raw("ho %d tail %d room %d", ho, tail, room)
	}
}

// inRAM reports whether the ROM can load a segment there.
func (c *Chip) inRAM(load, size uint32) bool {
	for _, r := range c.si.data().memory {
		if load >= r.from && load < r.to {
			return size <= r.to-load
		}
	}
	return size == 0
}

// built is how the bootloader in flash was built.
func (c *Chip) built(image []byte) Bootloader {
	if c.opts.Bootloader != FromImage {
		return c.opts.Bootloader
	}
	switch text := string(image); {
	case !strings.Contains(text, "flash_encrypt"):
		return PlainBuild
	case strings.Contains(text, "SECURE_FLASH_REQUIRE_ALREADY_ENABLED"):
		return RequiringBuild
	case strings.Contains(text, "for permanent encryption"):
		return ReleaseBuild
	}
	return DevelopBuild
}
