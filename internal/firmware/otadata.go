package firmware

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	// OTADataSize is the otadata partition: two sectors, an entry in each.
	OTADataSize = 2 * SectorSize
	// OTAEntrySize is one entry: sequence u32, label 20, state u32, CRC u32.
	OTAEntrySize = 32
	otaStateAt   = 24
	otaCRCAt     = 28
)

// OTAState is what the app said of the slot that an entry chose.
type OTAState uint32

// The states. Slots marked invalid or aborted never boot.
const (
	OTANew       OTAState = 0
	OTAPending   OTAState = 1
	OTAValid     OTAState = 2
	OTAInvalid   OTAState = 3
	OTAAborted   OTAState = 4
	OTAUndefined OTAState = 0xffffffff
)

func (s OTAState) String() string {
	names := [...]string{"new", "pending", "valid", "invalid", "aborted"}
	switch {
	case s == OTAUndefined:
		return "undefined"
	case int64(s) < int64(len(names)):
		return names[s]
	}
	return fmt.Sprintf("%#x", uint32(s))
}

// MarshalText writes the word.
func (s OTAState) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// OTAEntry is one of the two records that choose the app to boot. The zero
// sequence means that there is no entry: erased, or its CRC is wrong, which the
// bootloader takes alike.
type OTAEntry struct {
	Seq     uint32   `json:"seq"`
	State   OTAState `json:"state"`
	Damaged bool     `json:"damaged,omitempty"` // something is there, and its CRC is wrong
}

// Bytes is the entry in flash.
func (e OTAEntry) Bytes() []byte {
	b := bytes.Repeat([]byte{0xff}, OTAEntrySize)
	if e.Seq == 0 {
		return b
	}
	binary.LittleEndian.PutUint32(b, e.Seq)
	binary.LittleEndian.PutUint32(b[otaStateAt:], uint32(e.State))
	binary.LittleEndian.PutUint32(b[otaCRCAt:], otaCRC(b))
	return b
}

// otaCRC covers the sequence alone, and starts from all ones as a finished
// CRC, which is not the plain CRC-32.
func otaCRC(b []byte) uint32 { return crc32.Update(0xffffffff, crc32.IEEETable, b[:4]) }

// OTAData is the content of the otadata partition.
type OTAData [2]OTAEntry

// EmptyOTAData is otadata that chooses nothing. On a chip with flash
// encryption it must be written too, encrypted: what is left erased decrypts
// to garbage.
func EmptyOTAData() []byte { return bytes.Repeat([]byte{0xff}, OTADataSize) }

// ParseOTAData reads both entries. One whose CRC does not fit its sequence is
// none: the build of every Arduino project has such a second entry.
func ParseOTAData(b []byte) (OTAData, error) {
	var d OTAData
	var f faults
	if len(b) != OTADataSize {
		f.add("otadata has %#x bytes, want %#x", len(b), OTADataSize)
		return d, f.err()
	}
	for n := range d {
		entry := b[n*SectorSize:][:OTAEntrySize]
		seq := binary.LittleEndian.Uint32(entry)
		if seq == 0 || seq == 0xffffffff || binary.LittleEndian.Uint32(entry[otaCRCAt:]) != otaCRC(entry) {
			d[n] = OTAEntry{State: OTAUndefined, Damaged: len(bytes.Trim(entry, "\xff")) > 0}
			continue
		}
		d[n] = OTAEntry{Seq: seq, State: OTAState(binary.LittleEndian.Uint32(entry[otaStateAt:]))}
	}
	return d, f.err()
}

// empty reports otadata without any entry.
func (d OTAData) empty() bool { return d[0].Seq == 0 && d[1].Seq == 0 }

// Bytes is the whole partition.
func (d OTAData) Bytes() []byte {
	b := EmptyOTAData()
	for n, e := range d {
		copy(b[n*SectorSize:], e.Bytes())
	}
	return b
}

// Chosen is the entry that the bootloader goes by, and whether there is one.
func (d OTAData) Chosen() (n int, ok bool) {
	var seq uint32
	for i, e := range d {
		if e.State != OTAInvalid && e.State != OTAAborted && e.Seq > seq {
			seq, n = e.Seq, i
		}
	}
	return n, seq > 0
}

// Slot is the OTA slot that boots where the table has that many of them, and
// whether any is chosen.
func (d OTAData) Slot(slots int) (int, bool) {
	n, ok := d.Chosen()
	if !ok || slots == 0 {
		return 0, false
	}
	return int((d[n].Seq - 1) % uint32(slots)), true
}
