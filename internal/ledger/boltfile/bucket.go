package boltfile

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
)

// ErrNoBucket means that the snapshot has no bucket of that name.
var ErrNoBucket = errors.New("no such bucket")

// A tree of 64 levels has more leaves than any disk: deeper is a circle.
const maxDepth = 64

// Item is one key with its value. Both stay valid for ever.
type Item struct {
	Key, Value []byte
	Bucket     bool // the value is a bucket, not data
}

// Bucket is one tree of keys.
type Bucket struct {
	s      *Snapshot
	root   uint64
	inline *page // the whole bucket, where it is small enough to stand in its parent's value
}

// Empty is a bucket without items.
func Empty() Bucket {
	p := page{b: make([]byte, headerSize)}
	native.PutUint16(p.b[8:], flagLeaf)
	return Bucket{inline: &p}
}

func (s *Snapshot) rootBucket() Bucket { return Bucket{s: s, root: s.meta.root} }

// Bucket returns the top-level bucket of that name, or ErrNoBucket.
func (s *Snapshot) Bucket(name string) (Bucket, error) {
	it, err := s.rootBucket().find([]byte(name))
	if err != nil {
		return Bucket{}, fmt.Errorf("bucket %s: %w", name, err)
	}
	if !it.Bucket {
		return Bucket{}, fmt.Errorf("bucket %s: %w", name, ErrNoBucket)
	}
	b, err := s.bucket(it.Value)
	if err != nil {
		return Bucket{}, fmt.Errorf("bucket %s: %w", name, err)
	}
	return b, nil
}

func (s *Snapshot) bucket(value []byte) (Bucket, error) {
	if len(value) < bucketSize {
		return Bucket{}, errHeaders
	}
	b := Bucket{s: s, root: native.Uint64(value)}
	if b.root != 0 {
		return b, nil
	}
	p := page{b: value[bucketSize:]}
	if len(p.b) < headerSize || !p.leaf() || headerSize+p.count()*elementSize > len(p.b) {
		return Bucket{}, errHeaders
	}
	b.inline = &p
	return b, nil
}

func (b Bucket) page(id uint64) (page, error) {
	if b.inline != nil {
		return *b.inline, nil
	}
	return b.s.page(id)
}

// step is page for who goes from the root to one key: the pages that lead there
// lead to other keys too, and are read once.
func (b Bucket) step(id uint64) (page, error) {
	if b.inline != nil {
		return *b.inline, nil
	}
	p, ok := b.s.remembered(id)
	if !ok {
		var err error
		if p, err = b.s.page(id); err != nil {
			return p, err
		}
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if !ok {
		b.s.remember(p)
	}
	if p.leaf() {
		b.s.near, b.s.nearIn = p, b.root
	}
	return p, nil
}

func (s *Snapshot) remembered(id uint64) (page, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.branches[id]
	if !ok {
		p, ok = s.leaves[id]
	}
	return p, ok
}

func (s *Snapshot) remember(p page) {
	pages, most := &s.branches, maxBranches
	if p.leaf() {
		pages, most = &s.leaves, maxLeaves
	}
	if *pages == nil || len(*pages) == most {
		*pages = map[uint64]page{}
	}
	(*pages)[p.id] = p
	delete(s.sound, p.id)
}

// bounds are between which keys a page was found sound.
type bounds struct{ lo, hi []byte }

func (b bounds) are(lo, hi []byte) bool {
	return bytes.Equal(b.lo, lo) && bytes.Equal(b.hi, hi) && (b.hi == nil) == (hi == nil)
}

// check checks a page once, for all the keys to which it leads.
func (b Bucket) check(p page, lo, hi []byte) error {
	if b.inline != nil {
		return p.check(lo, hi)
	}
	b.s.mu.Lock()
	was, sound := b.s.sound[p.id]
	b.s.mu.Unlock()
	if sound && was.are(lo, hi) {
		return nil
	}
	if err := p.check(lo, hi); err != nil {
		return err
	}
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if b.s.sound == nil || len(b.s.sound) == maxBranches {
		b.s.sound = map[uint64]bounds{}
	}
	b.s.sound[p.id] = bounds{lo, hi}
	return nil
}

// nearby is the leaf at which the last look-up ended, if key lies among its keys.
func (b Bucket) nearby(key []byte) (page, bool) {
	if b.inline != nil {
		return page{}, false
	}
	b.s.mu.Lock()
	p, in := b.s.near, b.s.nearIn
	b.s.mu.Unlock()
	return p, in == b.root && p.spans(key)
}

// Get returns the value of key, nil where it is absent.
func (b Bucket) Get(key []byte) ([]byte, error) {
	it, err := b.find(key)
	if it.Bucket {
		return nil, err
	}
	return it.Value, err
}

func (b Bucket) find(key []byte) (Item, error) {
	if p, ok := b.nearby(key); ok {
		return p.found(p.exact(key))
	}
	return b.descend(func(p page) (int, error) {
		if p.leaf() {
			return p.exact(key)
		}
		return p.branch(key)
	})
}

// Last returns the item with the highest key; its Key is nil in an empty bucket.
func (b Bucket) Last() (Item, error) {
	return b.descend(func(p page) (int, error) { return p.count() - 1, nil })
}

// descend goes from the root to a leaf; choose picks the element on each page,
// -1 for none.
func (b Bucket) descend(choose func(page) (int, error)) (Item, error) {
	id := b.root
	for range maxDepth {
		p, err := b.step(id)
		if err != nil {
			return Item{}, &PageError{Page: id, Err: err}
		}
		i, err := choose(p)
		switch {
		case err != nil:
			return Item{}, &PageError{Page: id, Err: err}
		case p.leaf():
			return p.found(i, nil)
		case p.count() == 0:
			return Item{}, &PageError{Page: id, Err: errEmpty}
		}
		id = p.child(i)
	}
	return Item{}, &PageError{Page: id, Err: errDepth}
}

// From yields the items from key on, in order. A damaged page is yielded as a
// *PageError that tells which keys are lost; the iteration goes on behind it.
func (b Bucket) From(key []byte) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		w := walk{b: b, from: key, yield: yield}
		w.visit(b.root, nil, nil, 0)
	}
}

// CheckPath checks all pages that lead to where key is or would be.
func (b Bucket) CheckPath(key []byte) error {
	var lo, hi []byte
	_, err := b.descend(func(p page) (int, error) {
		if err := b.check(p, lo, hi); err != nil || p.leaf() || p.count() == 0 {
			return -1, err
		}
		i, err := p.branch(key)
		if err != nil {
			return -1, err
		}
		lo, _ = p.key(i)
		if i+1 < p.count() {
			hi, _ = p.key(i + 1)
		}
		return i, nil
	})
	return err
}

// CheckPath checks the pages that lead to a top-level bucket, and in it those
// that lead to key.
func (s *Snapshot) CheckPath(bucket string, key []byte) error {
	if err := s.rootBucket().CheckPath([]byte(bucket)); err != nil {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	b, err := s.Bucket(bucket)
	if err != nil {
		return err
	}
	if err := b.CheckPath(key); err != nil {
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	return nil
}

// Each is From for whoever keeps nothing of an item: its memory is used again for
// those that follow.
func (b Bucket) Each(key []byte) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		w := walk{b: b, from: key, yield: yield, reuse: true}
		w.visit(b.root, nil, nil, 0)
	}
}

type walk struct {
	b     Bucket
	from  []byte
	yield func(Item, error) bool
	page  func(page) // told of every page that was read, if not nil
	reuse bool       // nobody keeps an item
	spare [][]byte   // memory of the last page at each depth; one page of each is looked at
}

// read reads a page.
func (w *walk) read(id uint64, depth int) (page, error) {
	if !w.reuse || w.b.inline != nil || depth == maxDepth {
		return w.b.page(id)
	}
	if depth == len(w.spare) {
		w.spare = append(w.spare, nil)
	}
	p, err := w.b.s.pageIn(id, w.spare[depth])
	if err == nil && p.overflow() == 0 {
		w.spare[depth] = p.b
	}
	return p, err
}

// visit returns false when the consumer has seen enough.
func (w *walk) visit(id uint64, lo, hi []byte, depth int) bool {
	p, err := w.read(id, depth)
	switch {
	case err != nil:
	case depth == maxDepth:
		err = errDepth
	case depth > 0 && p.count() == 0: // only a bucket's root may be empty
		err = errEmpty
	default:
		err = p.check(lo, hi)
	}
	if err != nil {
		return w.yield(Item{}, &PageError{Page: id, Lo: lo, Hi: hi, Err: err})
	}
	if w.page != nil {
		w.page(p)
	}
	if p.leaf() {
		return w.leaf(p)
	}
	start, _ := p.branch(w.from) // check has read every key
	for i := start; i < p.count(); i++ {
		low, _ := p.key(i)
		high := hi
		if i+1 < p.count() {
			high, _ = p.key(i + 1)
		}
		if !w.visit(p.child(i), low, high, depth+1) {
			return false
		}
	}
	return true
}

func (w *walk) leaf(p page) bool {
	start, _ := p.search(w.from)
	for i := start; i < p.count(); i++ {
		it, _ := p.item(i)
		if !w.yield(it, nil) {
			return false
		}
	}
	return true
}
