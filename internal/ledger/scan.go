package ledger

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"
	"runtime"
	"sync"

	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// scanned is how much one look at the file takes: looks are short, so that a
// slow consumer makes no writer keep old pages.
const scanned = 512

// linesAtOnce is the same for entries of the log, of which each becomes a row: what
// is made of these is most of the memory that an export needs.
const linesAtOnce = 128

// Lines yields the stored bytes of every entry from an index on, as far as the
// log went when the iteration began. Each is held against its leaf before, and
// from the first entry on the leaves against the tree.
func (l *Ledger) Lines(from uint64) iter.Seq2[[]byte, error] {
	return Scan(l, from, func(raw []byte) ([]byte, error) { return bytes.Clone(raw), nil })
}

// Entries yields every entry from an index on, as far as the log went when the
// iteration began. The first error ends it. An entry of a newer version has
// only the fields that this version knows.
func (l *Ledger) Entries(from uint64) iter.Seq2[record.Entry, error] {
	return Scan(l, from, decode)
}

// Devices yields every device, in the order of the MACs. Each is as of the
// moment when it is read.
func (l *Ledger) Devices() iter.Seq2[record.Device, error] {
	return list(l, inDevices, func(s *snapshot, payload []byte) (record.Device, error) {
		return s.device(payload)
	})
}

// Lots yields the sums of every batch and job, in the order of their names.
func (l *Ledger) Lots() iter.Seq2[record.Lot, error] {
	return list(l, inLots, func(_ *snapshot, payload []byte) (lot record.Lot, err error) {
		err = json.Unmarshal(payload, &lot)
		return lot, err
	})
}

// Scan yields what open makes of the bytes that Lines yields, on all processors. open
// keeps nothing of these bytes: their memory is used again.
func Scan[T any](l *Ledger, from uint64, open func([]byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		end, _, err := l.Head()
		k := look{buf: make([]byte, 4<<10)}
		if from == 0 {
			k.tree = new(edge)
		}
		for from < end && err == nil {
			err = k.take(l, from, min(end, from+linesAtOnce))
			for _, r := range parallel(k.raws, open) {
				if !yield(r.v, r.err) || r.err != nil {
					return
				}
			}
			from += uint64(len(k.raws))
		}
		if err != nil {
			var none T
			yield(none, fmt.Errorf("entry %d: %w", from, err))
		}
	}
}

// look is one look at the log after the other, in the same memory.
type look struct {
	tree *edge    // the edge of the tree behind the entries so far; nil: it is not looked at
	raws [][]byte // the entries, all in text
	text []byte
	buf  []byte // for one entry
}

// take reads the entries [from, to), or those before the first bad one.
func (k *look) take(l *Ledger, from, to uint64) error {
	before := k.tree
	return l.view(func(s *snapshot) error {
		k.raws, k.text = k.raws[:0], k.text[:0]
		if before != nil {
			again := *before
			k.tree = &again
		}
		for it, err := range s.each(inEntries, number(from)) {
			n := from + uint64(len(k.raws))
			if n == to {
				return nil
			}
			if err == nil {
				err = k.add(s, n, it)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// add reads entry n.
func (k *look) add(s *snapshot, n uint64, it boltfile.Item) error {
	if string(it.Key) != number(n) {
		return corrupt("entry %d is missing", n)
	}
	raw, err := whole(s, n, it.Value, k.buf)
	if err == nil && k.tree != nil {
		err = k.tree.add(n, it.Value)
	}
	if err == nil {
		from := len(k.text)
		k.text = append(k.text, raw...)
		k.raws = append(k.raws, k.text[from:])
	}
	return err
}

// LinesAt returns the stored bytes of some entries, each held against its leaf.
func (l *Ledger) LinesAt(indexes ...uint64) (list [][]byte, err error) {
	err = l.view(func(s *snapshot) error {
		list = make([][]byte, len(indexes))
		for i, n := range indexes {
			if list[i], err = entryAt(s, n); err != nil {
				return fmt.Errorf("entry %d: %w", n, err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// list yields a projection, open being what is made of a payload.
func list[T any](l *Ledger, bucket string, open func(*snapshot, []byte) (T, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for from, more := "", true; more; {
			var some []result[T]
			err := l.project(func(s *snapshot) (err error) {
				some, from, more, err = page(s, bucket, from, open)
				return err
			})
			if err != nil {
				some, more = append(some, result[T]{err: err}), false
			}
			for _, r := range some {
				if r.err != nil {
					r.err = fmt.Errorf("%s: %w", bucket, r.err)
				}
				if !yield(r.v, r.err) || r.err != nil {
					return
				}
			}
		}
	}
}

// page returns what a projection holds from a key on, and where to go on.
func page[T any](s *snapshot, bucket, from string, open func(*snapshot, []byte) (T, error)) (some []result[T], next string, more bool, err error) {
	type found struct {
		key   string
		value []byte
	}
	var all []found
	for it, err := range s.items(bucket, from) {
		if err != nil {
			return nil, from, false, err
		}
		if more = len(all) == scanned; more {
			next = string(it.Key)
			break
		}
		all = append(all, found{string(it.Key), it.Value})
	}
	// From here on the snapshot is only read.
	for _, used := range []string{inEntries, inDictionaries} {
		if _, err = s.bucket(used); err != nil {
			return nil, from, false, err
		}
	}
	_, err = s.recentDevices()
	if err != nil {
		return nil, from, false, err
	}
	some = parallel(all, func(f found) (v T, err error) {
		payload, err := unseal(bucket, f.key, f.value)
		if err == nil {
			v, err = open(s, payload)
		}
		return v, err
	})
	return some, next, more, err
}

type result[T any] struct {
	v   T
	err error
}

// parallel does fn with every element, on all processors.
func parallel[S, T any](in []S, fn func(S) (T, error)) []result[T] {
	out := make([]result[T], len(in))
	n := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for part := range n {
		wg.Go(func() {
			for i := part; i < len(in); i += n {
				out[i].v, out[i].err = fn(in[i])
			}
		})
	}
	wg.Wait()
	return out
}
