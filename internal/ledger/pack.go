package ledger

import (
	"crypto/sha256"
	"math/bits"
	"slices"
	"sync"

	"github.com/klauspost/compress/s2"
	"golang.org/x/mod/sumdb/tlog"
)

// Entries of a line are alike: names, digests and the form of the JSON come
// again and again. So an entry is stored packed (S2, the format of Snappy with
// dictionaries) against a dictionary of entries that came shortly before; that
// leaves a sixth of it. Hashes are over the plain bytes, so that nothing else
// knows of it.
//
// The dictionary of entry n is made when entry dictionaryOf(n) is written and
// never changes. It lies in a bucket of its own, is a copy of entries before it,
// and so could be made again from them.
const (
	packed          = 0x01 // first byte of a packed entry; JSON begins with {
	firstDictionary = 32   // the entries before are stored plain
	dictionaryEvery = 4096 // entries; before that at each power of two
	dictionaryReach = 512  // how many entries back it looks for one of each kind
	dictionarySize  = 16 << 10
	largestEntry    = 1 << 20   // bytes; what says that it is larger is damaged
	dictionariesMax = 512 << 10 // bytes of those held in memory at a time
	dictionariesAll = 8 << 20   // the same for whoever reads all of the log in another order
	packingTable    = 32 << 10  // bytes that one has besides when it is packed with
)

// dictionaryOf is the index of the entry from which on the dictionary of entry
// n counts; 0 is none.
func dictionaryOf(n uint64) uint64 {
	switch {
	case n < firstDictionary:
		return 0
	case n < dictionaryEvery:
		return 1 << (bits.Len64(n) - 1)
	}
	return n - n%dictionaryEvery
}

// dictionaries are the dictionaries of one file that were used lately.
type dictionaries struct {
	mu   sync.Mutex
	held map[uint64]heldDictionary
	size int  // of all that are held, in bytes
	wide bool // they are asked for in any order
}

// widen keeps as many as whoever reads the log in the order of the devices needs.
func (d *dictionaries) widen() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.wide = true
}

func (d *dictionaries) most() int {
	if d.wide {
		return dictionariesAll
	}
	return dictionariesMax
}

type heldDictionary struct {
	*s2.Dict
	size int
}

// get returns a dictionary; nil where the ledger has none, because it was
// written by an older version.
func (d *dictionaries) get(r reader, n uint64) (*s2.Dict, error) {
	if n == 0 {
		return nil, nil
	}
	d.mu.Lock()
	held := d.held[n]
	d.mu.Unlock()
	if held.Dict != nil {
		return held.Dict, nil
	}
	text, found, err := lookup(r, inDictionaries, number(n))
	if err != nil || !found {
		return nil, err
	}
	const room = 16 // behind the text: with it s2 takes no copy of its own
	dict := s2.MakeDictManual(append(make([]byte, 0, len(text)+room), text...), 0)
	if dict == nil {
		return nil, corrupt("dictionary %d is none", n)
	}
	d.keep(n, heldDictionary{dict, len(text)})
	return dict, nil
}

func (d *dictionaries) keep(n uint64, dict heldDictionary) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.held == nil {
		d.held = map[uint64]heldDictionary{}
	}
	for other, old := range d.held { // any one
		if d.size+dict.size <= d.most() {
			break
		}
		delete(d.held, other)
		d.size -= old.size
	}
	d.size += dict.size - d.held[n].size
	d.held[n] = dict
}

// pack returns the bytes that are stored for entry n.
func pack(r reader, n uint64, raw []byte) ([]byte, error) {
	dict, err := r.dictionary(dictionaryOf(n))
	if err != nil || dict == nil || len(raw) > largestEntry {
		return raw, err
	}
	small := append([]byte{packed}, dict.Encode(nil, raw)...)
	if len(small) >= len(raw) {
		return raw, nil
	}
	return small, nil
}

// unpack returns the plain bytes of entry n and their leaf: in memory of their own, or
// in that of buf where they have room there.
func unpack(r reader, n uint64, stored, buf []byte) (raw []byte, leaf tlog.Hash, err error) {
	if stored[0] != packed {
		return stored, tlog.RecordHash(stored), nil
	}
	// A leaf is the hash of a zero and the entry: with the zero in front it is made in one go.
	if buf, err = unpackBehind(r, n, stored, buf); err != nil {
		return nil, leaf, err
	}
	buf[0] = 0
	return buf[1:], sha256.Sum256(buf), nil
}

// unpackBehind unpacks an entry behind one byte that it leaves free.
func unpackBehind(r reader, n uint64, stored, buf []byte) ([]byte, error) {
	dict, err := r.dictionary(dictionaryOf(n))
	if err != nil {
		return nil, err
	}
	size, err := s2.DecodedLen(stored[1:])
	if dict == nil || err != nil || size > largestEntry {
		return nil, corrupt("entry %d is not what was written: it cannot be unpacked", n)
	}
	if cap(buf) < 1+size {
		buf = make([]byte, 1+size)
	}
	buf = buf[:1+size]
	if _, err := dict.Decode(buf[1:], stored[1:]); err != nil {
		return nil, corrupt("entry %d is not what was written: %w", n, err)
	}
	return buf, nil
}

// makeDictionary makes the dictionary of the entries from n on: of each kind
// and stage the last one before n.
func (t *txn) makeDictionary(n uint64) error {
	var parts [][]byte
	size, seen := 0, map[string]bool{}
	for i := n; i > 0 && n-i < dictionaryReach && size < dictionarySize; {
		i--
		raw, err := entryAt(t, i)
		if err != nil {
			return err
		}
		e, err := decode(raw)
		if what := string(e.Kind) + " " + e.Stage; err == nil && !seen[what] && size+len(raw) <= 2*dictionarySize {
			seen[what], size, parts = true, size+len(raw), append(parts, raw)
		}
	}
	slices.Reverse(parts) // the newest last
	text := slices.Concat(parts...)
	dict := s2.MakeDictManual(text, 0)
	if dict == nil {
		return nil // too short to be of use
	}
	t.dictionaries[n] = heldDictionary{dict, len(text) + packingTable}
	return t.put(inDictionaries, number(n), text)
}

// haveDictionary makes the one that the next entries want, where an older
// version has written those before.
func (t *txn) haveDictionary() error {
	n := dictionaryOf(t.size)
	if d, err := t.dictionary(n); n == 0 || d != nil || err != nil {
		return err
	}
	return t.makeDictionary(n)
}

// dictionary implements reader.
func (t *txn) dictionary(n uint64) (*s2.Dict, error) {
	if d := t.dictionaries[n]; d.Dict != nil {
		return d.Dict, nil
	}
	return t.kept.get(t, n)
}

// dictionary implements reader.
func (s *snapshot) dictionary(n uint64) (*s2.Dict, error) { return s.kept.get(s, n) }
