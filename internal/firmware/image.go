package firmware

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"station/internal/chip"
)

// An ESP image (ESP-IDF, esp_app_format.h; all little endian):
//
//	 0  E9, segments, SPI mode, frequency | size<<4, entry u32
//	 8  WP pin, pin drive 3, chip ID u16, old minimum revision
//	15  minimum revision u16, maximum revision u16, 4 reserved, hash appended
//	24  per segment: load address u32, length u32, data
//	    zeros, then the checksum as the last byte of a 16-byte block
//	    SHA-256 of all of this, if hash appended
const (
	imageMagic    = 0xe9
	headerSize    = 24
	segmentHeader = 8
	checksumSeed  = 0xef
	maxSegments   = 16
	maxSegment    = 16 << 20
	hashSize      = sha256.Size
	// FirstData is where an image has its first segment's data, which begins
	// with the descriptor.
	FirstData = headerSize + segmentHeader
)

// ChipESP32 is the chip ID of the ESP32 in an image header.
const ChipESP32 = 0

// Image is the header of an ESP image and what its segments hold.
type Image struct {
	Mode        string                `json:"mode"`        // "dio"
	Freq        string                `json:"freq"`        // "40m"
	FlashSize   uint32                `json:"flashSize"`   // bytes
	Entry       uint32                `json:"entry"`       // address
	ChipID      uint16                `json:"chipId"`      // 0 is the ESP32
	MinRevision chip.Revision         `json:"minRevision"` // 0: any
	MaxRevision chip.Revision         `json:"maxRevision"` // 0: any
	Segments    []Segment             `json:"segments"`
	Checksum    byte                  `json:"checksum"`
	SHA256      string                `json:"sha256,omitempty"` // appended to the image, in hex
	Length      int                   `json:"length"`           // bytes, with checksum and SHA-256; the file may be longer
	App         *AppDescriptor        `json:"app,omitempty"`
	Bootloader  *BootloaderDescriptor `json:"bootloader,omitempty"`
}

// Segment is one piece of an image.
type Segment struct {
	Load   uint32 `json:"load"`   // address in the chip's memory, 0 for padding
	Offset int    `json:"offset"` // of the data in the image
	Size   int    `json:"size"`
}

// ParseImage reads and verifies an image. The error has every fault; the image
// is what could be read nevertheless, nil where nothing could.
func ParseImage(b []byte) (*Image, error) {
	var f faults
	if len(b) < FirstData {
		f.add("%d bytes are no ESP image", len(b))
		return nil, f.err()
	}
	if b[0] != imageMagic {
		f.add("no ESP image: it begins with %#02x, want 0xe9", b[0])
		return nil, f.err()
	}
	i := &Image{}
	i.parseHeader(b, &f)
	if i.parseSegments(b, &f) {
		i.parseEnd(b, &f)
	}
	if len(i.Segments) > 0 {
		i.App = parseApp(i.data(b, 0))
		i.Bootloader = parseBootloader(i.data(b, 0))
	}
	return i, f.err()
}

func (i *Image) parseHeader(b []byte, f *faults) {
	var known bool
	i.ChipID = binary.LittleEndian.Uint16(b[12:])
	if i.Mode, known = modes.name(b[2]); !known {
		f.add("unknown SPI mode %d in the header", b[2])
	}
	if i.Freq, known = i.speed(b[3] & 0xf); !known {
		f.add("unknown flash frequency %#x in the header", b[3]&0xf)
	}
	if b[3]>>4 > maxSizeCode {
		f.add("unknown flash size %#x in the header", b[3]>>4)
	} else {
		i.FlashSize = 1 << 20 << (b[3] >> 4)
	}
	i.Entry = binary.LittleEndian.Uint32(b[4:])
	// Images from before ESP-IDF 4.4 have only the major revision.
	i.MinRevision = max(chip.Revision(b[14])*100, chip.Revision(binary.LittleEndian.Uint16(b[15:])))
	if highest := binary.LittleEndian.Uint16(b[17:]); highest != 0xffff {
		i.MaxRevision = chip.Revision(highest)
	}
	if b[23] > 1 {
		f.add("the header says %d where it says whether a SHA-256 follows, want 0 or 1", b[23])
	}
}

// parseSegments reports whether all of them are there.
func (i *Image) parseSegments(b []byte, f *faults) bool {
	count := int(b[1])
	if count == 0 || count > maxSegments {
		f.add("%d segments, want 1 to %d", count, maxSegments)
		return false
	}
	i.Checksum = checksumSeed
	at := headerSize
	for n := range count {
		if at+segmentHeader > len(b) {
			f.add("cut short: segment %d of %d begins beyond the end", n, count)
			return false
		}
		load, size := binary.LittleEndian.Uint32(b[at:]), binary.LittleEndian.Uint32(b[at+4:])
		at += segmentHeader
		if size >= maxSegment || int(size) > len(b)-at {
			f.add("cut short: segment %d has %d bytes, the file only %d more", n, size, len(b)-at)
			return false
		}
		s := Segment{Load: load, Offset: at, Size: int(size)}
		i.Segments = append(i.Segments, s)
		s.check(n, i.pageOf(s, i.data(b, 0)), f)
		for _, x := range i.data(b, n) {
			i.Checksum ^= x
		}
		at += s.Size
	}
	i.Length = at + 16 - at%16
	return true
}

// pageSize is what the flash cache maps at a time.
const pageSize = 0x10000

// check holds a segment against the page that it is mapped in, 0 for none.
func (s Segment) check(n int, page uint32, f *faults) {
	if s.Size%4 != 0 {
		f.add("segment %d has %d bytes, want a multiple of 4", n, s.Size)
	}
	if page != 0 && uint32(s.Offset)%page != s.Load%page {
		f.add("segment %d at offset %#x cannot be mapped to %#x: they differ within a %d KiB page", n, s.Offset, s.Load, page>>10)
	}
}

// parseEnd verifies the checksum and the appended SHA-256.
func (i *Image) parseEnd(b []byte, f *faults) {
	if i.Length > len(b) {
		f.add("cut short: the checksum is missing")
		return
	}
	if got := b[i.Length-1]; got != i.Checksum {
		f.add("the checksum is %#02x, computed %#02x: the file is damaged", got, i.Checksum)
	}
	if b[23] != 1 {
		return
	}
	sum := sha256.Sum256(b[:i.Length])
	i.Length += hashSize
	if i.Length > len(b) {
		f.add("cut short: the SHA-256 is missing")
		return
	}
	got := b[i.Length-hashSize : i.Length]
	i.SHA256 = fmt.Sprintf("%x", got)
	if !bytes.Equal(got, sum[:]) {
		f.add("the SHA-256 is %x…, computed %x…: the file is damaged", got[:4], sum[:4])
	}
}

func (i *Image) data(b []byte, n int) []byte {
	s := i.Segments[n]
	return b[s.Offset : s.Offset+s.Size]
}

// checkRevision says why a chip cannot run the image.
func checkRevision(rev, lowest, highest chip.Revision) error {
	if rev < lowest {
		return fmt.Errorf("built for chips from revision %v, this one is %v", lowest, rev)
	}
	if highest != 0 && rev > highest {
		return fmt.Errorf("built for chips up to revision %v, this one is %v", highest, rev)
	}
	return nil
}
