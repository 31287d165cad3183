package firmware

import (
	"bytes"
	"crypto/md5" // what the bootloader checks the table with, not a signature
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"station/internal/chip"
	"station/internal/filefault"
)

const (
	// SectorSize is the erase unit of the flash: everything starts on one.
	SectorSize = 0x1000
	// DefaultTableOffset is where ESP-IDF puts the partition table.
	DefaultTableOffset = 0x8000
	// TableSize is what the bootloader maps of the table, all of it encrypted
	// on a chip with flash encryption: rows, MD5 row, then FF.
	TableSize = 0xc00
	rowSize   = 32
	labelAt   = 12
	labelSize = 16
	maxRows   = TableSize/rowSize - 2 // besides the MD5 row and the end
)

// Partition is one row of the table.
type Partition struct {
	Name      string
	Type      Type
	Subtype   byte
	Offset    uint32
	Size      uint32
	Flags     uint32
	line      int  // in the CSV
	misplaced bool // below its predecessor's end, which is a fault already
}

// The flags that ESP-IDF knows.
const (
	FlagEncrypted = 1 << 0
	FlagReadonly  = 1 << 1
)

// End is the first address after the partition.
func (p Partition) End() uint64 { return uint64(p.Offset) + uint64(p.Size) }

// Is reports the type and subtype, as ESP-IDF names them ("data", "ota").
func (p Partition) Is(kind, subtype string) bool {
	t := types[kind]
	return p.Type == t && p.Subtype == subtypes[t][subtype]
}

// Table is a partition table.
type Table struct {
	Offset     uint32      `json:"offset"` // of the table itself
	Partitions []Partition `json:"partitions"`
	// NoMD5 is a binary table without the MD5 row; most bootloaders refuse it.
	NoMD5    bool     `json:"noMd5,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
	file     string
	chip     *chip.Family
}

// TableOptions is what a table is read with.
type TableOptions struct {
	Offset    uint32                      // of the table; 0 is 0x8000
	FlashSize uint32                      // bytes; 0 does not check it
	Chip      *chip.Family                // whose bootloader a CSV may list; nil is the ESP32
	Env       func(string) (string, bool) // for $NAME in a CSV; nil knows none
}

// ParseTable reads a CSV or binary table, whichever it is. file is for faults.
func ParseTable(file string, b []byte, o TableOptions) (*Table, error) {
	if bytes.HasPrefix(b, rowMagic) {
		return ParseBinaryTable(file, b, o)
	}
	return ParseCSV(file, b, o)
}

var (
	rowMagic = []byte{0xaa, 0x50}
	md5Magic = append([]byte{0xeb, 0xeb}, bytes.Repeat([]byte{0xff}, 14)...)
	endMagic = []byte{0xff, 0xff, 0xff, 0xff} // magic, type and subtype
)

// ParseBinaryTable reads a table as it is in flash, verifies its MD5 row and
// checks it. What follows the end marker (a signature) is ignored.
func ParseBinaryTable(file string, b []byte, o TableOptions) (*Table, error) {
	f := &faults{file: file}
	t := &Table{Offset: o.offset(), NoMD5: true, file: file}
	at := 0
	for ; ; at += rowSize {
		if at+rowSize > min(len(b), TableSize) {
			f.add("the table has no end marker; make it anew from its CSV")
			break
		}
		row := b[at : at+rowSize]
		if bytes.HasPrefix(row, endMagic) {
			break
		}
		if bytes.HasPrefix(row, md5Magic[:2]) {
			if !t.NoMD5 {
				f.add("the table has two MD5 rows")
				break
			}
			if sum := md5.Sum(b[:at]); !bytes.Equal(row[16:], sum[:]) {
				f.add("the table's MD5 is %x, computed %x: the file is damaged", row[16:], sum)
			}
			t.NoMD5 = false
			continue
		}
		if !bytes.HasPrefix(row, rowMagic) {
			f.add("row %d begins with %x, want aa50", at/rowSize, row[:2])
			break
		}
		t.Partitions = append(t.Partitions, parseRow(row))
	}
	if at == 0 {
		f.add("the table is empty")
	}
	if t.NoMD5 && len(f.list) == 0 {
		t.warn("the table has no MD5 row; bootloaders of ESP-IDF 4 and later want one")
	}
	t.check(f, o)
	return t, f.err()
}

func parseRow(row []byte) Partition {
	label, _, _ := bytes.Cut(row[labelAt:labelAt+labelSize], []byte{0})
	return Partition{
		Type: Type(row[2]), Subtype: row[3],
		Offset: binary.LittleEndian.Uint32(row[4:]), Size: binary.LittleEndian.Uint32(row[8:]),
		Name: string(label), Flags: binary.LittleEndian.Uint32(row[28:]),
	}
}

// Binary is the table as it is in flash: TableSize bytes.
func (t *Table) Binary() []byte {
	b := make([]byte, 0, TableSize)
	for _, p := range t.Partitions {
		b = append(b, rowMagic...)
		b = append(b, byte(p.Type), p.Subtype)
		b = binary.LittleEndian.AppendUint32(b, p.Offset)
		b = binary.LittleEndian.AppendUint32(b, p.Size)
		var label [labelSize]byte
		copy(label[:], p.Name)
		b = append(b, label[:]...)
		b = binary.LittleEndian.AppendUint32(b, p.Flags)
	}
	if !t.NoMD5 {
		sum := md5.Sum(b)
		b = append(append(b, md5Magic...), sum[:]...)
	}
	for len(b) < TableSize {
		b = append(b, 0xff)
	}
	return b
}

// CSV is the table as text that gives the same binary.
func (t *Table) CSV() []byte {
	var b bytes.Buffer
	b.WriteString("# Name, Type, SubType, Offset, Size, Flags\n")
	for _, p := range t.Partitions {
		size := fmt.Sprintf("%#x", p.Size)
		if p.Size%1024 == 0 {
			size = fmt.Sprintf("%dK", p.Size/1024)
		}
		fmt.Fprintf(&b, "%s,%v,%s,%#x,%s,%s\n", p.Name, p.Type, p.SubtypeName(), p.Offset, size, p.flagNames())
	}
	return b.Bytes()
}

func (p Partition) flagNames() string {
	var names []string
	for _, f := range flags {
		if p.Flags&f.bit != 0 {
			names = append(names, f.name)
		}
	}
	return strings.Join(names, ":")
}

// MarshalJSON writes type, subtype and flags by name.
func (p Partition) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Name      string `json:"name"`
		Type      Type   `json:"type"`
		Subtype   string `json:"subtype"`
		Offset    uint32 `json:"offset"`
		Size      uint32 `json:"size"`
		Encrypted bool   `json:"encrypted"`
		Readonly  bool   `json:"readonly"`
	}{p.Name, p.Type, p.SubtypeName(), p.Offset, p.Size, p.Flags&FlagEncrypted != 0, p.Flags&FlagReadonly != 0})
}

// Find returns the partition of that name.
func (t *Table) Find(name string) (Partition, bool) {
	for _, p := range t.Partitions {
		if p.Name == name {
			return p, true
		}
	}
	return Partition{}, false
}

// At returns the partition that holds the address.
func (t *Table) At(addr uint32) (Partition, bool) {
	for _, p := range t.Partitions {
		if addr >= p.Offset && uint64(addr) < p.End() {
			return p, true
		}
	}
	return Partition{}, false
}

func (t *Table) warn(format string, args ...any) {
	t.Warnings = append(t.Warnings, (&filefault.Fault{File: t.file, Text: fmt.Sprintf(format, args...)}).Error())
}

func (o TableOptions) offset() uint32 {
	if o.Offset == 0 {
		return DefaultTableOffset
	}
	return o.Offset
}
