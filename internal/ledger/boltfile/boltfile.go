// Package boltfile reads a bbolt file page by page: without bbolt's lock, so
// that a reader can stand beside a live writer, and with every offset checked,
// so that a damaged file is an error and never a fault of the process. It
// never writes.
//
// The format is that of bbolt's data file, version 2, in the byte order of
// the machine that wrote it:
//
//	page      id u64 | flags u16 | count u16 | overflow u32 | elements … data
//	meta      magic u32 | version u32 | page size u32 | flags u32 | root u64 |
//	          sequence u64 | freelist u64 | high water u64 | txid u64 | FNV-1a u64
//	branch    pos u32 | key size u32 | page u64                (element)
//	leaf      flags u32 | pos u32 | key size u32 | value size u32
//	bucket    root u64 | sequence u64 | inline page, if root is 0  (a leaf's value)
//	freelist  u64 page numbers; the first is the count where count is 0xffff
//
// Pages 0 and 1 are metas; the valid one with the higher txid is the file.
package boltfile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"sync"
)

// ErrFormat means that the file is not a bbolt file of version 2, or that both
// of its metas are damaged.
var ErrFormat = errors.New("neither header page is valid")

const (
	magic       = 0xed0cdaed
	version     = 2
	headerSize  = 16
	elementSize = 16
	bucketSize  = 16
	metaSize    = 64
	noFreelist  = ^uint64(0)

	flagBranch   = 1
	flagLeaf     = 2
	flagFreelist = 16
)

var native = binary.NativeEndian

type meta struct {
	pageSize        uint32
	root            uint64
	freelist, pages uint64 // pages is the high water mark
	txid            uint64
}

// Snapshot is the file as one transaction left it. It stays readable for as
// long as its writer does not use its pages again.
type Snapshot struct {
	r    io.ReaderAt
	size int64
	meta meta
	bad  []int // numbers of the metas that are damaged

	mu       sync.Mutex
	branches map[uint64]page // that look-ups came by
	leaves   map[uint64]page
	sound    map[uint64]bounds // of them, as they were read last
	near     page              // the leaf at which the last look-up ended,
	nearIn   uint64            // in the bucket with this root; 0 is none
}

// How many pages a snapshot remembers.
const (
	maxBranches = 4096
	maxLeaves   = 64
)

// File is an open file, as *os.File.
type File interface {
	io.ReaderAt
	Stat() (fs.FileInfo, error)
}

// Open reads the headers of a file and returns its newest snapshot.
func Open(f File) (*Snapshot, error) {
	s, err := open(f)
	if err != nil {
		return nil, err
	}
	// A writer makes the file longer before a header speaks of the new pages:
	// asked in this order, the length is never too small.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	s.size = info.Size()
	return s, nil
}

func open(r io.ReaderAt) (*Snapshot, error) {
	m0, err0 := readMeta(r, 0)
	if err0 == nil {
		m1, err1 := readMeta(r, int64(m0.pageSize))
		return newest(r, m0, m1, err1), nil
	}
	// Only meta 0 tells where meta 1 is: without it every page size is tried.
	for at := int64(1 << 10); at <= 64<<10; at *= 2 {
		if m1, err := readMeta(r, at); err == nil && int64(m1.pageSize) == at {
			return &Snapshot{r: r, meta: m1, bad: []int{0}}, nil
		}
	}
	if !errors.Is(err0, ErrFormat) && !errors.Is(err0, io.EOF) {
		return nil, err0
	}
	return nil, ErrFormat
}

func newest(r io.ReaderAt, m0, m1 meta, err1 error) *Snapshot {
	s := &Snapshot{r: r, meta: m0}
	switch {
	case err1 != nil:
		s.bad = []int{1}
	case m1.txid > m0.txid:
		s.meta = m1
	}
	return s
}

func readMeta(r io.ReaderAt, at int64) (meta, error) {
	var b [headerSize + metaSize]byte
	if n, err := r.ReadAt(b[:], at); n < len(b) {
		return meta{}, fmt.Errorf("read header at %d: %w", at, err)
	}
	m := b[headerSize:]
	sum := fnv.New64a()
	_, _ = sum.Write(m[:metaSize-8])
	size := native.Uint32(m[8:])
	if native.Uint32(m) != magic || native.Uint32(m[4:]) != version || native.Uint64(m[56:]) != sum.Sum64() ||
		size < 1<<10 || size > 64<<10 || size&(size-1) != 0 {
		return meta{}, ErrFormat
	}
	return meta{
		pageSize: size,
		root:     native.Uint64(m[16:]),
		freelist: native.Uint64(m[32:]),
		pages:    native.Uint64(m[40:]),
		txid:     native.Uint64(m[48:]),
	}, nil
}

// TxID is the transaction that left the snapshot.
func (s *Snapshot) TxID() uint64 { return s.meta.txid }

// PageSize is the size of a page in bytes.
func (s *Snapshot) PageSize() int { return int(s.meta.pageSize) }

// Size is how many bytes of the file the snapshot uses.
func (s *Snapshot) Size() int64 { return int64(s.meta.pages) * int64(s.meta.pageSize) }

// Cut is how many bytes of the snapshot the file lacks at its end.
func (s *Snapshot) Cut() int64 { return max(0, s.Size()-s.size) }

// Damaged lists which of the two header pages are damaged. The snapshot comes
// from the other one and may be one transaction old.
func (s *Snapshot) Damaged() []int { return s.bad }

// WriteTo writes a file of its own: both headers from the snapshot's and all
// its pages.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	var n int64
	for i := range uint64(2) {
		k, err := w.Write(s.metaPage(i))
		n += int64(k)
		if err != nil {
			return n, err
		}
	}
	from := 2 * int64(s.meta.pageSize)
	k, err := io.Copy(w, io.NewSectionReader(s.r, from, s.Size()-from))
	if n += k; err == nil && n != s.Size() {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// metaPage gives the copy's headers the snapshot's txid and the one before, as
// two commits would have left them.
func (s *Snapshot) metaPage(i uint64) []byte {
	b := make([]byte, s.meta.pageSize)
	native.PutUint64(b, i)
	native.PutUint16(b[8:], 4)
	m := b[headerSize:]
	native.PutUint32(m, magic)
	native.PutUint32(m[4:], version)
	native.PutUint32(m[8:], s.meta.pageSize)
	native.PutUint64(m[16:], s.meta.root)
	native.PutUint64(m[32:], s.meta.freelist)
	native.PutUint64(m[40:], s.meta.pages)
	txid := s.meta.txid
	if txid%2 != i {
		txid--
	}
	native.PutUint64(m[48:], txid)
	sum := fnv.New64a()
	_, _ = sum.Write(m[:metaSize-8])
	native.PutUint64(m[56:], sum.Sum64())
	return b
}
