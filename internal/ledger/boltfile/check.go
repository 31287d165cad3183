package boltfile

import (
	"fmt"
	"iter"
)

// Check reads every page and yields every inconsistency: damaged headers, a
// cut file, pages that are not what their parent says, pages used twice, used
// and free, or neither. progress, if not nil, hears of every page that was read.
func (s *Snapshot) Check(progress func(pages, total uint64)) iter.Seq[error] {
	return func(yield func(error) bool) {
		c := &checker{s: s, progress: progress, used: make(bitmap, s.meta.pages/64+1), free: make(bitmap, s.meta.pages/64+1)}
		c.stopped = func(err error) bool { c.done = c.done || !yield(err); return c.done }
		c.headers()
		c.bucket(s.rootBucket(), 0)
		c.freelist()
		c.leaks()
	}
}

type bitmap []uint64

func (b bitmap) set(i uint64)      { b[i/64] |= 1 << (i % 64) }
func (b bitmap) has(i uint64) bool { return b[i/64]&(1<<(i%64)) != 0 }

type checker struct {
	s          *Snapshot
	used, free bitmap
	read       uint64
	progress   func(pages, total uint64)
	damaged    bool // pages are missing, so that what hangs below them is unknown
	done       bool
	stopped    func(error) bool
}

func (c *checker) headers() {
	for _, i := range c.s.bad {
		c.stopped(fmt.Errorf("header page %d is damaged", i))
	}
	if n := c.s.Cut(); n > 0 {
		c.stopped(fmt.Errorf("the file is cut: %d bytes are missing at its end", n))
	}
}

// bucket walks one tree and the buckets inside it.
func (c *checker) bucket(b Bucket, depth int) {
	if depth == maxDepth {
		c.stopped(errDepth)
		return
	}
	w := walk{b: b, reuse: true, page: func(p page) {
		if b.inline == nil {
			c.use(p.id, p.overflow())
		}
	}}
	w.yield = func(it Item, err error) bool {
		if err != nil {
			c.damaged = true
			return !c.stopped(err)
		}
		if it.Bucket {
			if sub, err := c.s.bucket(it.Value); err != nil {
				c.damaged = true
				c.stopped(fmt.Errorf("bucket %q: %w", it.Key, err))
			} else {
				c.bucket(sub, depth+1)
			}
		}
		return !c.done
	}
	w.visit(b.root, nil, nil, 0)
}

func (c *checker) use(id, overflow uint64) {
	if c.read += overflow + 1; c.progress != nil {
		c.progress(c.read, c.s.meta.pages)
	}
	for i := id; i <= id+overflow; i++ {
		if c.used.has(i) {
			c.stopped(fmt.Errorf("page %d is used twice", i))
		}
		c.used.set(i)
	}
}

func (c *checker) freelist() {
	at := c.s.meta.freelist
	if c.done || at == noFreelist {
		c.damaged = true // without a list nothing can be said about leaks
		return
	}
	ids, overflow, err := c.s.freelist(at)
	if err != nil {
		c.damaged = true
		c.stopped(fmt.Errorf("list of free pages: %w", &PageError{Page: at, Err: err}))
		return
	}
	c.use(at, overflow)
	for _, id := range ids {
		if c.used.has(id) {
			c.stopped(fmt.Errorf("page %d is in use and on the list of free pages", id))
		}
		c.free.set(id)
	}
}

// FreePages returns the pages that the next commits may write to, in order.
func (s *Snapshot) FreePages() ([]uint64, error) {
	if s.meta.freelist == noFreelist {
		return nil, nil
	}
	ids, _, err := s.freelist(s.meta.freelist)
	if err != nil {
		return nil, fmt.Errorf("list of free pages: %w", &PageError{Page: s.meta.freelist, Err: err})
	}
	return ids, nil
}

func (s *Snapshot) freelist(at uint64) (ids []uint64, overflow uint64, err error) {
	b, err := s.raw(at, nil)
	if err != nil {
		return nil, 0, err
	}
	if native.Uint16(b[8:]) != flagFreelist {
		return nil, 0, errType
	}
	n, b, p := uint64(native.Uint16(b[10:])), b[headerSize:], page{b: b}
	if n == 0xffff {
		n, b = native.Uint64(b), b[8:]
	}
	if n > uint64(len(b)/8) {
		return nil, 0, errBounds
	}
	// bbolt makes room before it knows the exact number, one page more at most.
	if 8*n+2*uint64(s.meta.pageSize) < uint64(len(b)) {
		return nil, 0, errLong
	}
	before := uint64(1) // bbolt sorts the list; pages 0 and 1 are never free
	for i := range n {
		id := native.Uint64(b[8*i:])
		if id <= before || id >= s.meta.pages {
			return nil, 0, errOrder
		}
		ids, before = append(ids, id), id
	}
	return ids, p.overflow(), nil
}

func (c *checker) leaks() {
	if c.damaged {
		return
	}
	for i := uint64(2); i < c.s.meta.pages && !c.done; i++ {
		if !c.used.has(i) && !c.free.has(i) {
			c.stopped(fmt.Errorf("page %d is neither used nor free", i))
		}
	}
}
