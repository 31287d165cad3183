package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Application images, as the second-stage bootloader verifies them.

const (
	maxSegments = 16
	maxSegment  = 16 << 20
	flashPage   = 64 << 10 // of the cache's mapping
	descMagic   = 0xabcd5432
)

// loadImage verifies the image at a partition and prints its segments. It
// returns the whole image as the CPU sees it, nil if it is not good.
func (c *Chip) loadImage(t *console, p partition) []byte {
	const tag = "esp_image"
	h := header(c.plainFlash(p.offset, headerBytes))
	if h[0] != imageMagic {
		t.fail(tag, "image at 0x%x has invalid magic byte (nothing flashed here?)", p.offset)
		return nil
	}
	if !c.fitsChip(t, h) {
		return nil
	}
	if h.segments() > maxSegments {
		t.fail(tag, "image at 0x%x segment count %d exceeds max %d", p.offset, h.segments(), maxSegments)
		return nil
	}
	image := h[:]
	sum := byte(checksumSeed)
	for i := range h.segments() {
		at := p.offset + uint32(len(image))
		seg := c.plainFlash(at, 8)
		load, size := binary.LittleEndian.Uint32(seg), binary.LittleEndian.Uint32(seg[4:])
		at += 8
		if size%4 != 0 || size >= maxSegment {
			t.fail(tag, "invalid segment length 0x%x", size)
			return nil
		}
		use := c.segmentUse(load)
		if use == "map" && at%flashPage != load%flashPage {
			t.fail(tag, "Segment %d load address 0x%08x, doesn't match data 0x%08x", i, load, at)
			return nil
		}
		t.info(tag, "segment %d: paddr=%08x vaddr=%08x size=%05xh (%6d) %s", i, at, load, size, size, use)
		if use == "load" && size > 0 && !c.inRAM(load, size) {
			t.fail(tag, "Segment %d 0x%08x-0x%08x invalid: bad load address range", i, load, load+size)
			return nil
		}
		if int64(at)+int64(size) > int64(len(c.flash.mem)) {
			t.fail(tag, "bootloader_mmap(0x%x, 0x%x) failed", at, size)
			return nil
		}
		data := c.plainFlash(at, int(size))
		for _, b := range data {
			sum ^= b
		}
		image = append(append(image, seg...), data...)
		t.ms += len(data) >> 14
	}
	return c.finishImage(t, p, h, image, sum)
}

// finishImage checks what follows the segments: checksum, length, SHA-256.
func (c *Chip) finishImage(t *console, p partition, h header, image []byte, sum byte) []byte {
	const tag = "esp_image"
	n := len(image) | 15
	image = append(image, c.plainFlash(p.offset+uint32(len(image)), n+1-len(image))...)
	if stored := image[n]; stored != sum {
		t.fail(tag, "Checksum failed. Calculated 0x%x read 0x%x", sum, stored)
		return nil
	}
	length := len(image)
	if h.hashed() {
		length += sha256.Size
	}
	if uint32(length) > p.size {
		t.fail(tag, "Image length %d doesn't fit in partition length %d", length, p.size)
		return nil
	}
	if h.hashed() {
		digest := sha256.Sum256(image)
		if !bytes.Equal(digest[:], c.plainFlash(p.offset+uint32(len(image)), sha256.Size)) {
			t.fail(tag, "Image hash failed - image is corrupt")
			return nil
		}
	}
	return image
}

// fitsChip checks chip ID and revisions of a header.
func (c *Chip) fitsChip(t *console, h header) bool {
	const tag = "boot_comm"
	rev := c.revision()
	switch {
	case h.chipID() != int(c.opts.Chip.ImageID):
		t.fail(tag, "mismatch chip ID, expected %d, found %d", c.opts.Chip.ImageID, h.chipID())
	case h.minRev() > rev:
		t.fail(tag, "chip revision check failed. Required >= v%d.%d, found v%d.%d.", h.minRev()/100, h.minRev()%100, rev/100, rev%100)
	case h.maxRev() != 0 && h.maxRev() != 0xffff && h.maxRev() < rev:
		t.fail(tag, "chip revision check failed. Required <= v%d.%d, found v%d.%d.", h.maxRev()/100, h.maxRev()%100, rev/100, rev%100)
	default:
		return true
	}
	return false
}

// revision is major*100+minor, from fuses and silicon as software reads it.
func (c *Chip) revision() int {
	if f := c.opts.Chip; f.Loader.Major != nil {
		return int(f.Revision(func(name string) uint64 { return uint64(c.fuses.field(name)) }))
	}
	major := 0
	if c.fuses.field("CHIP_VER_REV1") != 0 {
		major = 1
		if c.fuses.field("CHIP_VER_REV2") != 0 {
			major = max(2, c.opts.major())
		}
	}
	return major*100 + int(c.fuses.field("WAFER_VERSION_MINOR"))
}

// segmentUse is what becomes of a segment: mapped through the cache, loaded, or nothing.
func (c *Chip) segmentUse(load uint32) string {
	switch {
	case inside(c.si.data().cached, load):
		return "map"
	case load < 0x10000000:
		return ""
	}
	return "load"
}

// description is an app's own word about itself, 32 bytes into its image.
type description struct {
	project, version, date, time, idf, elf string
}

func describe(image []byte) (d description, ok bool) {
	const at = 32
	if len(image) < at+256 || binary.LittleEndian.Uint32(image[at:]) != descMagic {
		return d, false
	}
	text := func(from, n int) string {
		s, _, _ := bytes.Cut(image[at+from:at+from+n], []byte{0})
		return string(s)
	}
	return description{
		version: text(16, 32), project: text(48, 32), time: text(80, 16), date: text(96, 16),
		idf: text(112, 32), elf: hex.EncodeToString(image[at+144 : at+152]),
	}, true
}

// bootloaderText is version and build time out of a bootloader's descriptor.
func bootloaderText(image []byte) (version, built string) {
	const at = 32
	version, built = "v5.2", "Jan  1 2024 00:00:00"
	if len(image) >= at+80 && image[at] == 0x50 {
		if s, _, _ := bytes.Cut(image[at+8:at+40], []byte{0}); len(s) > 0 {
			version = string(s)
		}
		if s, _, _ := bytes.Cut(image[at+40:at+64], []byte{0}); len(s) > 0 {
			built = string(s)
		}
	}
	return version, built
}
