package boltfile

import "bytes"

// Cursor looks up keys of a bucket of which one lies close to the next. It keeps the
// leaf in which it has found the last one, and its memory is used again: a value is
// valid until the next look-up. One goroutine uses it at a time.
type Cursor struct {
	b    Bucket
	leaf page // no bytes: none
	at   int  // element that was found last
	buf  []byte
}

// Cursor returns a cursor that has looked up nothing yet.
func (b Bucket) Cursor() *Cursor { return &Cursor{b: b} }

// Get returns the value of key, nil where it is absent.
func (c *Cursor) Get(key []byte) ([]byte, error) {
	if c.b.inline != nil {
		return c.b.Get(key)
	}
	if v, ok := c.before(key); ok {
		return v, nil
	}
	if !c.leaf.spans(key) {
		if err := c.descend(key); err != nil {
			return nil, err
		}
	}
	i, err := c.leaf.exact(key)
	it, err := c.leaf.found(i, err)
	if c.at = i; it.Bucket {
		return nil, err
	}
	return it.Value, err
}

// before looks at the element in front of the last one: most who come from one key
// want that.
func (c *Cursor) before(key []byte) ([]byte, bool) {
	if c.at < 1 || c.leaf.b == nil {
		return nil, false
	}
	it, err := c.leaf.item(c.at - 1)
	if err != nil || it.Bucket || !bytes.Equal(it.Key, key) {
		return nil, false
	}
	c.at--
	return it.Value, true
}

// descend goes to the leaf in which key is or would be. Branches are remembered, as
// for every look-up; leaves come and go.
func (c *Cursor) descend(key []byte) error {
	c.leaf = page{}
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
			c.leaf, c.at = p, 0
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
	p, err := c.b.s.pageIn(id, c.buf)
	c.buf = nil
	switch {
	case err != nil:
	case !p.leaf():
		c.b.s.mu.Lock()
		c.b.s.remember(p)
		c.b.s.mu.Unlock()
	default:
		c.buf = p.b
	}
	return p, err
}
