package ledger

import (
	"bytes"
	"errors"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// chunk is a run of entries with what the projections of the same snapshot say
// of them.
type chunk struct {
	s        *snapshot
	from, to uint64
	pieces   []piece
	devices  map[chip.MAC]projected
	recent   map[string]tail // nil: cannot be read, as is reported at the end
	owners   map[string]projected
	err      error
	anyForm  bool // of the entries
	scratch  []byte
}

// spare keeps the memory of chunks that were folded: with the entries of a
// chunk it is most of what a check needs.
var spare sync.Pool

// free gives the chunk's memory to the next one.
func (c *chunk) free() {
	clear(c.pieces)
	spare.Put(&chunk{pieces: c.pieces[:0], scratch: c.scratch})
	c.pieces = nil
}

// projected is a projection's payload as found; nil if it is absent.
type projected struct {
	payload []byte
	err     error
}

// piece is one entry as found, or a hole.
type piece struct {
	n, end uint64
	hole   bool // the entries [n, end) are not there
	hashes []tlog.Hash
	e      record.Entry
	lost   bool // it cannot be told what the entry says
	texts  []string
}

// load reads the entries [from, to).
func (u *auditor) load(from, to uint64) *chunk {
	var c *chunk
	err := u.view(func(s *snapshot) error {
		c = &chunk{s: s, from: from, to: to, anyForm: u.Indexes}
		c.read()
		return nil
	})
	if err != nil {
		return &chunk{from: from, to: to, err: err}
	}
	return c
}

// rest reads up to a few entries more; end tells that these were the last.
func (u *auditor) rest(s *snapshot) (c *chunk, end bool, err error) {
	size, err := s.size()
	if err != nil {
		size = u.log.next // the damage there has been reported
	}
	c = &chunk{s: s, from: u.log.next, to: min(size, u.log.next+chunkSize), anyForm: u.Indexes}
	if end = c.to >= size; end {
		c.to = math.MaxUint64 // whatever is found behind is lost too
	}
	c.read()
	return c, end, nil
}

func (c *chunk) read() {
	c.devices, c.owners = map[chip.MAC]projected{}, map[string]projected{}
	c.recent, _ = c.s.recentDevices()
	if used, ok := spare.Get().(*chunk); ok {
		c.pieces, c.scratch = used.pieces, used.scratch
	} else {
		c.pieces, c.scratch = make([]piece, 0, chunkSize), make([]byte, 4<<10)
	}
	next := c.from
	for it, err := range c.s.each(inEntries, number(c.from)) {
		var page *boltfile.PageError
		switch {
		case errors.As(err, &page):
			next = c.skip(next, page)
			continue
		case err != nil:
			c.err = err
			return
		case len(it.Key) != 8:
			c.pieces = append(c.pieces, piece{n: next, end: next, hole: true, texts: []string{"the log holds a key that is no index"}})
			continue
		}
		n := fromNumber(it.Key)
		if n >= c.to {
			break
		}
		if n > next {
			c.pieces = append(c.pieces, piece{n: next, end: n, hole: true})
		}
		c.pieces = append(c.pieces, piece{n: n, lost: true})
		c.pieces[len(c.pieces)-1].open(c, it.Value)
		next = n + 1
	}
	if c.to != math.MaxUint64 && next < c.to {
		c.pieces = append(c.pieces, piece{n: next, end: c.to, hole: true})
	}
	c.lookUp()
}

// skip notes the entries that are lost with a page.
func (c *chunk) skip(next uint64, page *boltfile.PageError) uint64 {
	to := c.to
	if len(page.Hi) == 8 {
		to = min(to, fromNumber(page.Hi))
	}
	if next < to {
		c.pieces = append(c.pieces, piece{n: next, end: to, hole: true, texts: []string{page.Error()}})
	}
	return max(next, to)
}

// open checks what can be checked of one entry alone.
func (p *piece) open(c *chunk, value []byte) {
	hashes, stored, err := split(p.n, value)
	if err != nil {
		p.texts = append(p.texts, "its bytes are cut")
		return
	}
	p.hashes = hashes
	raw, leaf, err := unpack(c.s, p.n, stored, c.scratch)
	if err != nil {
		p.texts = append(p.texts, "it cannot be unpacked: "+err.Error())
		return
	}
	if leaf != p.hashes[0] {
		p.texts = append(p.texts, "it is not what was written: its hash differs")
	}
	e, canonical, err := record.Read(raw)
	if p.e = e; err != nil {
		p.texts = append(p.texts, "it cannot be read: "+err.Error())
		return
	}
	if !c.anyForm && !canonical {
		p.texts = append(p.texts, "it is not in the form in which entries are written")
	}
	if p.e.Index != p.n {
		p.texts = append(p.texts, "it carries the index of another entry")
	}
	p.lost = len(p.texts) > 0
}

// lookUp fetches the projections that the entries touch, each bucket's in order,
// so that no page is read twice.
func (c *chunk) lookUp() {
	for i := range c.pieces {
		e := &c.pieces[i].e
		if !e.MAC.IsZero() {
			c.devices[e.MAC] = projected{}
		}
		for _, p := range indexed(e) {
			if p.bucket == inKeys {
				c.owners[p.key] = projected{}
			}
		}
	}
	byMAC := func(a, b chip.MAC) int { return bytes.Compare(a[:], b[:]) }
	for _, mac := range slices.SortedFunc(maps.Keys(c.devices), byMAC) {
		c.devices[mac] = c.fetch(inDevices, string(mac[:]))
	}
	for _, key := range slices.Sorted(maps.Keys(c.owners)) {
		c.owners[key] = c.fetch(inKeys, key)
	}
}

func (c *chunk) fetch(bucket, key string) projected {
	payload, found, err := lookup(c.s, bucket, key)
	if found && payload == nil {
		payload = []byte{}
	}
	return projected{payload, err}
}

// logFold is the check of the log itself, entry by entry.
type logFold struct {
	next      uint64
	last      time.Time // of the entry before; zero if it is lost
	newest    time.Time // the latest of all
	simulated bool
	// peaks are the roots of the full subtrees at the right edge of the tree:
	// peaks[i] spans 1<<i leaves if bit i of next is set.
	peaks [64]sum
	lost  map[uint64]bool
	some  bool // something is lost: sums cannot be right
}

// sum is a hash of the tree, if it is known.
type sum struct {
	hash  tlog.Hash
	known bool
}

// node is the sum over two subtrees.
func node(left, right sum) sum {
	if !left.known || !right.known {
		return sum{}
	}
	return sum{tlog.NodeHash(left.hash, right.hash), true}
}

func (u *auditor) fold(c *chunk) {
	if c.err != nil {
		u.fault(int64(c.from), "entries cannot be read: %v", c.err)
		u.log.some = true
	}
	for i := range c.pieces {
		p := &c.pieces[i]
		if u.done {
			return
		}
		if p.hole {
			u.hole(p)
			continue
		}
		for _, text := range p.texts {
			u.fault(int64(p.n), "%s", text)
		}
		u.log.next = p.n + 1
		u.tree(p)
		if p.lost {
			u.lose(p.n)
			continue
		}
		u.order(p)
		if u.Each != nil {
			u.Each(&p.e)
		}
		u.index(&p.e, c)
	}
	if c.to != math.MaxUint64 {
		u.log.next = c.to
	}
}

// hole reports entries that are not there.
func (u *auditor) hole(p *piece) {
	text := "it is missing"
	if len(p.texts) > 0 {
		text = p.texts[0]
	}
	switch {
	case p.end == math.MaxUint64:
		u.fault(int64(p.n), "it and all that follow are lost: %s", text)
		u.log.some = true
		return
	case p.end > p.n+1:
		u.fault(int64(p.n), "it and all up to entry %d are lost: %s", p.end-1, text)
	default:
		u.fault(int64(p.n), "%s", text)
	}
	for n := p.n; n < p.end; n++ {
		u.lose(n)
		u.log.next = n + 1
		u.tree(&piece{n: n})
	}
}

func (u *auditor) lose(n uint64) {
	if u.log.lost == nil {
		u.log.lost = map[uint64]bool{}
	}
	u.log.lost[n], u.log.some = true, true
	u.log.last = time.Time{}
}

// tree computes the hashes that the entry completes and holds them against the
// stored ones. Where one differs the stored one counts for what follows, so
// that one fault is not reported as many.
func (u *auditor) tree(p *piece) {
	l := &u.log
	var h sum
	for level := range hashCount(p.n) {
		switch {
		case level > 0:
			h = node(l.peaks[level-1], h)
		case len(p.hashes) > 0:
			h = sum{p.hashes[0], true} // held against the entry's bytes before
		}
		if level < len(p.hashes) {
			if h.known && h.hash != p.hashes[level] {
				u.fault(int64(p.n), "the tree's hash over the entries %d to %d is not theirs", p.n+1-1<<level, p.n)
			}
			h = sum{p.hashes[level], true}
		}
	}
	l.peaks[hashCount(p.n)-1] = h
}

// root is the tree's root from the peaks; false if part of it is lost.
func (l *logFold) root() (tlog.Hash, bool) {
	var root sum
	for level, peak := range l.peaks {
		switch {
		case l.next>>level&1 == 0:
		case !peak.known:
			return tlog.Hash{}, false
		case !root.known:
			root = peak
		default:
			root = node(peak, root)
		}
	}
	return root.hash, root.known
}

const mixedUp = "simulated and real entries are mixed"

// order checks what an entry must keep of those before it.
func (u *auditor) order(p *piece) {
	l, n := &u.log, int64(p.n)
	if (p.e.Kind == record.LedgerCreated) != (n == 0) {
		u.fault(n, "the first entry, and no other, creates the ledger")
	}
	if n == 0 {
		l.simulated = p.e.Simulated
	} else if !l.lost[0] && mixed(l.simulated, p.e, record.Device{}) {
		u.fault(n, mixedUp)
	}
	if !l.last.IsZero() && p.e.Version <= record.Version && p.e.ClockBack != clockBack(l.last, p.e.Time) {
		u.fault(n, "its time and what it says of the clock contradict the entry before")
	}
	if l.last = p.e.Time; l.last.After(l.newest) {
		l.newest = l.last
	}
	if p.e.Version > record.Version {
		u.Newer++
	}
}
