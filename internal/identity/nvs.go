package identity

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"station/internal/secret"
)

// An NVS partition of version 2 (ESP-IDF, "Non-Volatile Storage", internals;
// all little endian). A page of 4096 bytes:
//
//	 0  state u32: FFFFFFFE in use, FFFFFFFC full; number u32; FE for version 2;
//	    19 FF; CRC-32 of bytes 4 to 27
//	32  two bits for each entry: 11 empty, 10 written
//	64  126 entries of 32 bytes
//
// An entry:
//
//	 0  namespace u8, type u8, entries that it spans u8, chunk u8 (FF: none)
//	 4  CRC-32 of bytes 0 to 3 and 8 to 31
//	 8  key, 16 bytes, zero behind it
//	24  value; of what is longer: size u16, FFFF, CRC-32 of the data, which
//	    follows in entries of its own
//
// A blob is stored in chunks that fill what is left of a page, and an index:
// size u32, chunks u8, first chunk u8. The last page of a partition stays empty.
const (
	pageSize     = 4096
	entrySize    = 32
	bitmapAt     = 32
	entriesAt    = 64
	pageEntries  = 126
	maxKey       = 15
	maxString    = 4000 // with its final zero
	maxBlob      = 508000
	pageActive   = 0xfffffffe
	pageFull     = 0xfffffffc
	nvsVersion   = 0xfe
	noChunk      = 0xff
	kindString   = 0x21
	kindBlobData = 0x42
	kindBlobIdx  = 0x48
	namespaces   = 254
	nvsPages     = 3 // that a partition has at least
)

// ErrNoRoom: the partition is too small for what is to go into it.
var ErrNoRoom = fmt.Errorf("the partition is too small")

// nvs writes entries into a partition.
type nvs struct {
	b     []byte
	page  int // number of the page that is written to
	entry int // next entry of it
	space byte
}

// newNVS makes the first page in b, which is all FF.
func newNVS(b []byte) (*nvs, error) {
	if len(b)%pageSize != 0 || len(b) < nvsPages*pageSize {
		return nil, fmt.Errorf("%w: an NVS partition has whole pages of %#x bytes, at least %d, not %#x", ErrNoRoom, pageSize, nvsPages, len(b))
	}
	n := &nvs{b: b, page: -1, entry: pageEntries}
	return n, n.nextPage()
}

// nextPage closes the page and opens another one.
func (n *nvs) nextPage() error {
	if (n.page+3)*pageSize > len(n.b) { // the last page stays free
		return fmt.Errorf("%w: %#x bytes are full", ErrNoRoom, len(n.b))
	}
	if n.page >= 0 {
		binary.LittleEndian.PutUint32(n.at(0), pageFull)
	}
	n.page, n.entry = n.page+1, 0
	head := n.at(0)
	binary.LittleEndian.PutUint32(head, pageActive)
	binary.LittleEndian.PutUint32(head[4:], uint32(n.page))
	head[8] = nvsVersion
	binary.LittleEndian.PutUint32(head[28:], crc(head[4:28]))
	return nil
}

// at is the page from that byte on.
func (n *nvs) at(offset int) []byte { return n.b[n.page*pageSize+offset : (n.page+1)*pageSize] }

// crc is the CRC-32 that ESP-IDF's ROM function gives for a start of FFFFFFFF.
func crc(b []byte) uint32 { return crc32.Update(math.MaxUint32, crc32.IEEETable, b) }

// put writes an entry and its data, which fits into the page. It gives the entry back.
func (n *nvs) put(space, kind, chunk byte, key string, value [8]byte, data []byte) {
	span := 1 + (len(data)+entrySize-1)/entrySize
	e := n.at(entriesAt + n.entry*entrySize)
	e[0], e[1], e[2], e[3] = space, kind, byte(span), chunk
	clear(e[8:24])
	copy(e[8:24], key)
	copy(e[24:32], value[:])
	sum := crc32.Update(crc(e[:4]), crc32.IEEETable, e[8:32])
	binary.LittleEndian.PutUint32(e[4:], sum)
	copy(e[entrySize:], data)
	for range span {
		bit := 2 * n.entry
		n.at(bitmapAt)[bit/8] &^= 1 << (bit % 8)
		n.entry++
	}
}

// namespace opens a namespace for the entries that follow.
func (n *nvs) namespace(key string) error {
	n.space++
	return n.number(0, 1, key, uint64(n.space))
}

// number writes a number of that many bytes, negative for a signed one.
func (n *nvs) number(space byte, size int, key string, v uint64) error {
	if n.entry >= pageEntries {
		if err := n.nextPage(); err != nil {
			return err
		}
	}
	kind := byte(size)
	if size < 0 {
		size = -size
		kind = 0x10 | byte(size)
	}
	value := [8]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	var all [8]byte
	binary.LittleEndian.PutUint64(all[:], v)
	copy(value[:size], all[:])
	n.put(space, kind, noChunk, key, value, nil)
	return nil
}

// described is the value of an entry whose data follows.
func described(data []byte) (v [8]byte) {
	binary.LittleEndian.PutUint16(v[:], uint16(len(data)))
	v[2], v[3] = 0xff, 0xff
	binary.LittleEndian.PutUint32(v[4:], crc(data))
	return v
}

// text writes a string, data with its final zero, which stays in one page.
func (n *nvs) text(key string, data []byte) error {
	span := 1 + (len(data)+entrySize-1)/entrySize
	if n.entry+span >= pageEntries {
		if err := n.nextPage(); err != nil {
			return err
		}
	}
	n.put(n.space, kindString, noChunk, key, described(data), data)
	return nil
}

// blob writes bytes of any length in as many chunks as pages want.
func (n *nvs) blob(key string, data []byte) error {
	if n.entry >= pageEntries {
		if err := n.nextPage(); err != nil {
			return err
		}
	}
	chunks := 0
	for rest := data; ; {
		room := (pageEntries - n.entry - 1) * entrySize
		size := min(room, len(rest))
		n.put(n.space, kindBlobData, byte(chunks), key, described(rest[:size]), rest[:size])
		chunks++
		rest = rest[size:]
		if len(rest) > 0 || room-size < entrySize {
			if err := n.nextPage(); err != nil {
				return err
			}
		}
		if len(rest) == 0 {
			break
		}
	}
	var value [8]byte
	binary.LittleEndian.PutUint32(value[:], uint32(len(data)))
	value[4], value[5], value[6], value[7] = byte(chunks), 0, 0xff, 0xff
	n.put(n.space, kindBlobIdx, noChunk, key, value, nil)
	return nil
}

// erased is n bytes of FF in memory of its own.
func erased(n int) (*secret.Bytes, error) {
	s, err := secret.Make(n)
	if err != nil {
		return nil, err
	}
	b := s.Reveal()
	for i := range b {
		b[i] = 0xff
	}
	return s, nil
}
