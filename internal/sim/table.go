package sim

import (
	"bytes"
	"crypto/md5"
	"encoding/binary"
	"hash/crc32"
)

// The partition table and the boot choice, as the second-stage bootloader reads them.

const (
	tableAt   = 0x8000
	tableSize = 0xc00
	rowSize   = 32
	rowMagic  = 0x50aa
	md5Magic  = 0xebeb

	typeApp     = 0
	typeData    = 1
	subFactory  = 0x00
	subTest     = 0x20
	subOTA0     = 0x10
	subDataOTA  = 0x00
	subNVSKeys  = 0x04
	flagEncrypt = 1
)

type partition struct {
	typ, sub     byte
	offset, size uint32
	label        string
	flags        uint32
}

// usage is the bootloader's word for a partition.
func (p partition) usage() string {
	switch p.typ {
	case typeApp:
		switch {
		case p.sub == subFactory:
			return "factory app"
		case p.sub == subTest:
			return "test app"
		case p.sub&^15 == subOTA0:
			return "OTA app"
		}
		return "Unknown app"
	case typeData:
		if use, ok := dataUsage[p.sub]; ok {
			return use
		}
		return "Unknown data"
	}
	return "unknown"
}

var dataUsage = map[byte]string{
	subDataOTA: "OTA data",
	0x01:       "RF data",
	0x02:       "WiFi data",
	subNVSKeys: "NVS keys",
	0x05:       "efuse",
}

// parseTable checks a table and returns its rows. complain, if not nil, is told what is wrong.
func parseTable(table []byte, chipSize int, complain func(format string, args ...any)) (rows []partition, ok bool) {
	say := func(format string, args ...any) ([]partition, bool) {
		if complain != nil {
			complain(format, args...)
		}
		return nil, false
	}
	sums := 0
	for i := range len(table) / rowSize {
		row := table[i*rowSize : (i+1)*rowSize]
		switch magic := binary.LittleEndian.Uint16(row); {
		case magic == rowMagic:
			p := partition{
				typ: row[2], sub: row[3],
				offset: binary.LittleEndian.Uint32(row[4:]),
				size:   binary.LittleEndian.Uint32(row[8:]),
				label:  string(bytes.TrimRight(row[12:28], "\x00")),
				flags:  binary.LittleEndian.Uint32(row[28:]),
			}
			if uint64(p.offset)+uint64(p.size) > uint64(chipSize) {
				return say("partition %d invalid - offset 0x%x size 0x%x exceeds flash chip size 0x%x", i, p.offset, p.size, chipSize)
			}
			rows = append(rows, p)
		case magic == md5Magic && sums > 0:
			return say("Only one MD5 checksum is allowed")
		case magic == md5Magic:
			if sum := md5.Sum(table[:i*rowSize]); !bytes.Equal(sum[:], row[16:]) {
				return say("Incorrect MD5 checksum")
			}
			sums++
		case magic == 0xffff && row[2] == 0xff && row[3] == 0xff:
			return rows, true
		default:
			return say("partition %d invalid magic number 0x%x", i, magic)
		}
	}
	return say("partition table has no terminating entry, not valid")
}

// layout is what the bootloader keeps of a table.
type layout struct {
	factory, test, otadata *partition
	ota                    [16]*partition
	slots                  int
}

func layoutOf(rows []partition) (l layout) {
	for i := range rows {
		p := &rows[i]
		switch {
		case p.typ == typeApp && p.sub == subFactory:
			l.factory = p
		case p.typ == typeApp && p.sub == subTest:
			l.test = p
		case p.typ == typeApp && p.sub&^15 == subOTA0:
			l.ota[p.sub&15] = p
			l.slots++
		case p.typ == typeData && p.sub == subDataOTA:
			l.otadata = p
		}
	}
	return l
}

// slot is the app of an index: -1 for the factory app.
func (l layout) slot(index int) *partition {
	switch {
	case index == factoryIndex:
		return l.factory
	case index < l.slots:
		return l.ota[index]
	}
	return nil
}

const factoryIndex = -1

// choice is one of the two entries of otadata.
type choice struct{ seq, state, crc uint32 }

func choiceOf(b []byte) choice {
	return choice{
		seq:   binary.LittleEndian.Uint32(b),
		state: binary.LittleEndian.Uint32(b[24:]),
		crc:   binary.LittleEndian.Uint32(b[28:]),
	}
}

// States of an entry, where they are not left erased.
const (
	stateNew     = 0
	statePending = 1
	stateValid   = 2
	stateInvalid = 3
	stateAborted = 4
)

// empty: never written, or its app was found wanting.
func (e choice) empty() bool {
	return e.seq == 0xffffffff || e.state == stateInvalid || e.state == stateAborted
}

func (e choice) valid() bool { return !e.empty() && e.crc == seqCRC(e.seq) }

func seqCRC(seq uint32) uint32 {
	var b [4]byte
	binary.LittleEndian.PutUint32(b[:], seq)
	return crc32.Update(0xffffffff, crc32.IEEETable, b[:])
}
