package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/s2"

	"station/internal/chip"
	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// Told tells of all devices, and holds what the indexes say of each against the
// log. Hold folds the entries of some devices anew; Rest, called after the last,
// finds the entries of devices that the indexes do not know. Every entry is
// decoded once.
type Told struct {
	l         *Ledger
	size, end uint64          // entries: that are told, and that are held; what a running line appends later is not asked for
	seen      []atomic.Uint64 // a bit for each entry that was met in the chain of a device
	pages     atomic.Pointer[boltfile.Snapshot]
	folds     sync.Pool // of *chainFold
	stored    sync.Pool // of *Stored
}

// Told begins with the devices as they are now; it tells them as they were before
// the entry of index size.
func (l *Ledger) Told(size uint64) (*Told, error) {
	end, _, err := l.Head()
	if err != nil {
		return nil, err
	}
	l.read.packs.widen()
	t := &Told{l: l, size: size, end: end, seen: make([]atomic.Uint64, end/64+1)}
	t.folds.New, t.stored.New = t.newFold, func() any { return new(Stored) }
	return t, nil
}

// view gives fn a snapshot of the ledger: the same one while the file does not change, which
// remembers the pages that lead to entries.
func (t *Told) view(fn func(*snapshot) error) error {
	return t.l.view(func(s *snapshot) error {
		if p := t.pages.Load(); p != nil && p.TxID() == s.TxID() {
			s = newSnapshot(p, s.kept)
		}
		t.pages.Store(s.Snapshot)
		return fn(s)
	})
}

// Hold folds all entries of some devices anew, and tells of a device that the
// indexes say something else of. Those that agree it gives to each, by their place
// in the list: the device as its entries before the index of Told leave it, and
// these entries, oldest first. All of it lies in memory that is used again: nothing,
// no text either, may be held when each returns. Devices that came later
// are left out; a device may be given twice. Several goroutines may each hold some
// devices; the memory of these is used again.
func (t *Told) Hold(some *Stored, each func(i int, d *record.Device, entries []record.Entry) error) error {
	defer t.stored.Put(some)
	list := some.list
	return t.view(func(s *snapshot) error {
		f := t.folds.Get().(*chainFold)
		defer t.folds.Put(f)
		if err := f.log.reset(s); err != nil {
			return err
		}
		for _, i := range f.inOrder(list) {
			then, entries, err := f.hold(&list[i])
			if err == nil && len(entries) > 0 {
				err = each(i, then, entries)
			}
			if err != nil {
				return fmt.Errorf("device %s: %w", list[i].mac, err)
			}
		}
		return nil
	})
}

// chainFold folds the chains of devices, one after the other, in the same memory.
type chainFold struct {
	t         *Told
	log       chainReader
	read      record.Reader
	order     []int
	text      []byte
	json      []byte
	chain     []record.Entry // of this device from first on, the oldest first
	first     int
	then, now record.Device // it as it is told, and as its last entry leaves it
}

func (t *Told) newFold() any { return &chainFold{t: t, text: make([]byte, 4<<10)} }

// inOrder are the places of the devices in the order of the log: what lies together
// there is read once.
func (f *chainFold) inOrder(list []stored) []int {
	f.order = f.order[:0]
	for i := range list {
		f.order = append(f.order, i)
	}
	slices.SortFunc(f.order, func(a, b int) int { return cmp.Compare(list[a].last, list[b].last) })
	return f.order
}

// hold folds one device, and returns it as it is told.
func (f *chainFold) hold(d *stored) (then *record.Device, told []record.Entry, err error) {
	f.read.Again()
	if err := f.follow(d); err != nil {
		return nil, nil, err
	}
	all := f.chain[f.first:]
	n := 0
	for n < len(all) && all[n].Index < f.t.size {
		n++
	}
	f.now = record.Device{}
	f.now.Fold(all[:n])
	f.then = f.now
	f.now.Fold(all[n:])
	f.now.Images = nil // as in devicePayload
	if f.json = f.now.AppendLine(f.json[:0]); !bytes.Equal(f.json, d.json) {
		err = corrupt(notTold)
	}
	return &f.then, all[:n], err
}

// follow reads a device's chain from its last entry to its first, without what no
// projection and no row is made of.
func (f *chainFold) follow(d *stored) error {
	f.first = len(f.chain)
	skip := record.Without{Remarks: true}
	for n, more := d.last, true; more; {
		if f.first == 0 {
			grown := make([]record.Entry, 2*len(f.chain)+16)
			f.first = len(grown) - len(f.chain)
			copy(grown[f.first:], f.chain)
			f.chain = grown
		}
		f.first--
		e := &f.chain[f.first]
		if err := f.link(d.mac, n, e, skip); err != nil {
			return err
		}
		if n < f.t.end {
			f.t.seen[n/64].Or(1 << (n % 64))
		}
		skip.Fuses = skip.Fuses || n < f.t.size && e.RulesFuses()
		n, more = e.Prev, e.Prev > 0
	}
	return nil
}

// link reads one entry of a device's chain.
func (f *chainFold) link(mac chip.MAC, n uint64, e *record.Entry, skip record.Without) error {
	value, err := f.log.entry(n)
	if err != nil {
		return err
	}
	raw, err := whole(&f.log, n, value, f.text)
	if err != nil {
		return err
	}
	return continues(e, mac, n, 0, f.read.Decode(raw, e, skip))
}

// chainReader reads the entries of devices of one snapshot: those of a device lie close
// together, and have a dictionary in common.
type chainReader struct {
	*snapshot
	cursor boltfile.Cursor
	n      uint64 // of the last dictionary
	dict   *s2.Dict
}

// reset makes it one of a snapshot, in the memory that it has.
func (r *chainReader) reset(s *snapshot) error {
	b, err := s.bucket(inEntries)
	r.snapshot, r.dict = s, nil
	r.cursor.Reset(b)
	return err
}

// entry returns what is stored of entry n, valid until the next is asked for.
func (r *chainReader) entry(n uint64) ([]byte, error) {
	var key [8]byte
	binary.BigEndian.PutUint64(key[:], n)
	value, err := r.cursor.Get(key[:])
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", inEntries, readable(inEntries, number(n)), err)
	}
	return value, nil
}

// dictionary implements reader.
func (r *chainReader) dictionary(n uint64) (d *s2.Dict, err error) {
	if r.dict == nil || r.n != n {
		r.n = n
		r.dict, err = r.snapshot.dictionary(n)
	}
	return r.dict, err
}

const notTold = "its projection is not what its entries say; \"station ledger verify\" lists the faults"

// Rest tells whether the log has entries of devices that were not told, and holds
// all of its leaves against the tree: parts of the log at the same time. Each begins
// with the hashes that the file has of the tree before it, which the parts before
// hold against their own leaves.
func (t *Told) Rest() error {
	type part struct{ from, to uint64 }
	var parts []part
	for i, n := uint64(0), uint64(runtime.GOMAXPROCS(0)); i < n; i++ {
		parts = append(parts, part{t.end * i / n, t.end * (i + 1) / n})
	}
	for _, r := range parallel(parts, func(p part) (edge, error) { return t.part(p.from, p.to) }) {
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// part holds the entries [n, to) against the tree, some at a time.
func (t *Told) part(n, to uint64) (tree edge, err error) {
	err = t.l.view(func(s *snapshot) (err error) {
		tree, err = edgeBefore(s, n)
		return err
	})
	for ; err == nil && n < to; n = min(to, n+scanned) {
		before := tree
		err = t.l.view(func(s *snapshot) (err error) {
			tree, err = t.rest(s, before, n, min(to, n+scanned))
			return err
		})
	}
	return tree, err
}

// rest holds the entries [n, to) against the tree before them.
func (t *Told) rest(s *snapshot, tree edge, n, to uint64) (edge, error) {
	for it, err := range s.each(inEntries, number(n)) {
		if n == to {
			return tree, nil
		}
		if err != nil {
			return tree, err
		}
		if string(it.Key) != number(n) {
			return tree, corrupt("entry %d is missing", n)
		}
		if err := tree.add(n, it.Value); err != nil {
			return tree, err
		}
		if t.seen[n/64].Load()>>(n%64)&1 == 0 {
			if err := ofNoDevice(s, n, it.Value); err != nil {
				return tree, err
			}
		}
		n++
	}
	if n < to {
		return tree, corrupt("entry %d is missing", n)
	}
	return tree, nil
}

// ofNoDevice makes sure that an entry is about no device.
func ofNoDevice(s *snapshot, n uint64, value []byte) error {
	raw, err := whole(s, n, value, nil)
	if err != nil {
		return err
	}
	e, err := decode(raw)
	if err == nil && e.MAC != (chip.MAC{}) {
		err = corrupt("the indexes do not know entry %d of device %s", n, e.MAC)
	}
	return err
}
