package boltfile

import (
	"bytes"
	"slices"
)

// Cursor looks up keys of a bucket of which one lies close to those before. It keeps the
// leaves in which it has found the last ones, and their memory is used again: a value is
// valid until the next look-up. One goroutine uses it at a time, after a Reset.
type Cursor struct {
	b      Bucket
	leaves []leaf   // the one that was used last in front
	at     int      // element of that one that was found last
	spare  [][]byte // memory for leaves
}

// leaf is a leaf page; shared is one whose memory others use too.
type leaf struct {
	page
	shared bool
}

// cursorLeaves is how many leaves a cursor keeps: a line that fills many slots at the same
// time writes the entries of their devices in turns.
const cursorLeaves = 12

// Reset makes it a cursor of a bucket, in the memory that it has. Where it was one of this
// bucket before it still knows its leaves.
func (c *Cursor) Reset(b Bucket) {
	if c.b.s != b.s || c.b.root != b.root || b.inline != nil {
		for len(c.leaves) > 0 {
			c.drop()
		}
	}
	c.b = b
}

// Get returns the value of key, nil where it is absent.
func (c *Cursor) Get(key []byte) ([]byte, error) {
	if c.b.inline != nil {
		return c.b.Get(key)
	}
	if v, ok := c.before(key); ok {
		return v, nil
	}
	if !c.among(key) {
		if err := c.descend(key); err != nil {
			return nil, err
		}
	}
	i, err := c.leaves[0].exact(key)
	it, err := c.leaves[0].found(i, err)
	if c.at = i; it.Bucket {
		return nil, err
	}
	return it.Value, err
}

// before looks at the element in front of the last one: most who come from one key
// want that.
func (c *Cursor) before(key []byte) ([]byte, bool) {
	if c.at < 1 || len(c.leaves) == 0 {
		return nil, false
	}
	it, err := c.leaves[0].item(c.at - 1)
	if err != nil || it.Bucket || !bytes.Equal(it.Key, key) {
		return nil, false
	}
	c.at--
	return it.Value, true
}

// among puts the leaf among whose keys key lies in front, if it is one of those kept.
func (c *Cursor) among(key []byte) bool {
	i := slices.IndexFunc(c.leaves, func(l leaf) bool { return l.spans(key) })
	if i < 0 {
		return false
	}
	l := c.leaves[i]
	copy(c.leaves[1:], c.leaves[:i])
	c.leaves[0] = l
	return true
}

// drop forgets the leaf that was not used for the longest time.
func (c *Cursor) drop() {
	last := len(c.leaves) - 1
	if l := c.leaves[last]; !l.shared {
		c.spare = append(c.spare, l.b)
	}
	c.leaves = c.leaves[:last]
}

// descend goes to the leaf in which key is or would be. Branches are remembered, as
// for every look-up; leaves come and go.
func (c *Cursor) descend(key []byte) error {
	c.at = 0
	id := c.b.root
	for range maxDepth {
		p, known := c.b.s.remembered(id)
		if !known {
			var err error
			if p, err = c.read(id); err != nil {
				return &PageError{Page: id, Err: err}
			}
		}
		if p.leaf() {
			if len(c.leaves) == cursorLeaves {
				c.drop()
			}
			c.leaves = slices.Insert(c.leaves, 0, leaf{p, known})
			return nil
		}
		i, err := p.branch(key)
		if err == nil && p.count() == 0 {
			err = errEmpty
		}
		if err != nil {
			return &PageError{Page: id, Err: err}
		}
		id = p.child(i)
	}
	return &PageError{Page: id, Err: errDepth}
}

// read reads a page that is not remembered: a leaf into the cursor's own memory.
func (c *Cursor) read(id uint64) (page, error) {
	var buf []byte
	if n := len(c.spare); n > 0 {
		buf, c.spare = c.spare[n-1], c.spare[:n-1]
	}
	p, err := c.b.s.pageIn(id, buf)
	if err == nil && !p.leaf() {
		c.b.s.mu.Lock()
		c.b.s.remember(p)
		c.b.s.mu.Unlock()
	}
	return p, err
}
