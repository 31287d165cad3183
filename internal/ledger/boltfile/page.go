package boltfile

import (
	"bytes"
	"errors"
	"fmt"
)

// PageError is one page that cannot be what its parent says it is. The keys
// from Lo to before Hi are lost with it; nil is no bound.
type PageError struct {
	Page   uint64
	Lo, Hi []byte
	Err    error
}

func (e *PageError) Error() string { return fmt.Sprintf("page %d: %v", e.Page, e.Err) }

// Unwrap returns the cause.
func (e *PageError) Unwrap() error { return e.Err }

var (
	errID      = errors.New("holds another page")
	errType    = errors.New("is of another type")
	errBounds  = errors.New("an element lies outside")
	errGap     = errors.New("elements are not packed")
	errOrder   = errors.New("is not in order")
	errHigh    = errors.New("lies beyond the end of the file's pages")
	errLong    = errors.New("claims to be longer than it is")
	errEmpty   = errors.New("is empty")
	errDepth   = errors.New("lies too deep: the tree runs in circles")
	errHeaders = errors.New("bucket value is too short")
)

// page is one branch or leaf page with its overflow, or an inline bucket.
type page struct {
	id   uint64
	b    []byte
	size int // of one page without overflow; 0 for an inline bucket
}

func (p page) leaf() bool { return native.Uint16(p.b[8:]) == flagLeaf }

func (p page) count() int { return int(native.Uint16(p.b[10:])) }

func (p page) overflow() uint64 { return uint64(native.Uint32(p.b[12:])) }

// maxOverflow bounds what a damaged page can make us allocate. The longest real
// one is the list of free pages: 8 million of them at pages of 4 KiB.
const maxOverflow = 1 << 14

// page reads and checks the page's own header.
func (s *Snapshot) page(id uint64) (page, error) {
	return s.pageIn(id, nil)
}

// pageIn is page that reads into buf, where the page has room there.
func (s *Snapshot) pageIn(id uint64, buf []byte) (page, error) {
	b, err := s.raw(id, buf)
	if err != nil {
		return page{}, err
	}
	p := page{id: id, b: b, size: int(s.meta.pageSize)}
	switch flags := native.Uint16(b[8:]); {
	case flags != flagBranch && flags != flagLeaf:
		err = errType
	case p.count()*elementSize+headerSize > len(b):
		err = errBounds
	}
	return p, err
}

// raw reads a page and its overflow, into buf where they have room there.
func (s *Snapshot) raw(id uint64, buf []byte) ([]byte, error) {
	if id < 2 || id >= s.meta.pages {
		return nil, errHigh
	}
	size := int(s.meta.pageSize)
	if cap(buf) < size {
		buf = make([]byte, size)
	}
	b := buf[:size:size]
	at := int64(id) * int64(size)
	if n, err := s.r.ReadAt(b, at); n < len(b) {
		return nil, fmt.Errorf("read: %w", err)
	}
	if native.Uint64(b) != id {
		return nil, errID
	}
	over := uint64(native.Uint32(b[12:]))
	if over == 0 {
		return b, nil
	}
	if over > maxOverflow {
		return nil, errLong
	}
	if over >= s.meta.pages-id || at+int64(over+1)*int64(size) > s.size {
		return nil, errHigh
	}
	b = append(b, make([]byte, int(over)*size)...)
	if n, err := s.r.ReadAt(b[size:], at+int64(size)); n < len(b)-size {
		return nil, fmt.Errorf("read overflow: %w", err)
	}
	return b, nil
}

// slice cuts n bytes at off, both from the file and not to be trusted.
func (p page) slice(off, n uint64) ([]byte, error) {
	if off > uint64(len(p.b)) || n > uint64(len(p.b))-off {
		return nil, errBounds
	}
	return p.b[off : off+n : off+n], nil
}

// element offsets: i < count, and page has checked that count elements fit.
func (p page) at(i int) uint64 { return uint64(headerSize + i*elementSize) }

// bounds is where the data of element i begins, which counts from the element, and how
// long key and value are. Leaf elements have one number more, in front.
func (p page) bounds(i int) (start, key, value uint64) {
	at := p.at(i)
	element := p.b[at : at+elementSize]
	if p.leaf() {
		value = uint64(native.Uint32(element[12:]))
		element = element[4:]
	}
	return at + uint64(native.Uint32(element)), uint64(native.Uint32(element[4:])), value
}

func (p page) key(i int) ([]byte, error) {
	start, key, _ := p.bounds(i)
	return p.slice(start, key)
}

// spans tells whether key lies among the page's keys.
func (p page) spans(key []byte) bool {
	if p.b == nil || p.count() == 0 {
		return false
	}
	first, err1 := p.key(0)
	last, err2 := p.key(p.count() - 1)
	return err1 == nil && err2 == nil && bytes.Compare(first, key) <= 0 && bytes.Compare(key, last) <= 0
}

func (p page) child(i int) uint64 { return native.Uint64(p.b[p.at(i)+8:]) }

func (p page) item(i int) (Item, error) {
	start, key, value := p.bounds(i)
	b, err := p.slice(start, key+value)
	if err != nil {
		return Item{}, err
	}
	return Item{Key: b[:key:key], Value: b[key:], Bucket: native.Uint32(p.b[p.at(i):])&1 != 0}, nil
}

// found is the item at the end of a look-up; -1 is none.
func (p page) found(i int, err error) (it Item, _ error) {
	if err == nil && i >= 0 {
		it, err = p.item(i)
	}
	if err != nil {
		return Item{}, &PageError{Page: p.id, Err: err}
	}
	return it, nil
}

// exact returns the element of a leaf that has the key; -1 is none.
func (p page) exact(key []byte) (int, error) {
	i, err := p.search(key)
	if err != nil || i == p.count() {
		return -1, err
	}
	k, err := p.key(i)
	if !bytes.Equal(k, key) {
		return -1, err
	}
	return i, err
}

// search returns the first element whose key is not below key.
func (p page) search(key []byte) (int, error) {
	low, high := 0, p.count()
	for low < high {
		i := (low + high) / 2
		k, err := p.key(i)
		if err != nil {
			return 0, err
		}
		if bytes.Compare(k, key) < 0 {
			low = i + 1
		} else {
			high = i
		}
	}
	return low, nil
}

// branch returns the child under which key would be.
func (p page) branch(key []byte) (int, error) {
	i, err := p.search(key)
	if err != nil {
		return 0, err
	}
	if i < p.count() {
		if k, _ := p.key(i); bytes.Equal(k, key) {
			return i, nil
		}
	}
	return max(0, i-1), nil
}

// check proves the order of the page's keys, that they lie in [lo, hi), and
// that the data of the elements is packed without gaps and ends in the last
// page, as bbolt writes it: so no offset, no count and no length but the last
// can change unnoticed.
func (p page) check(lo, hi []byte) error {
	var before []byte
	next := p.at(p.count())
	for i := range p.count() {
		start, key, value := p.bounds(i)
		b, err := p.slice(start, key+value)
		if err != nil {
			return err
		}
		k := b[:key]
		if i == 0 && bytes.Compare(k, lo) < 0 || i > 0 && bytes.Compare(k, before) <= 0 {
			return errOrder
		}
		if start != next {
			return errGap
		}
		before, next = k, start+key+value
	}
	if hi != nil && bytes.Compare(before, hi) >= 0 {
		return errOrder
	}
	if p.size > 0 && next+uint64(p.size) <= uint64(len(p.b)) {
		return errLong
	}
	return nil
}
