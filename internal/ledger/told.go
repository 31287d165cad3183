package ledger

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/record"
)

// Told reads all devices from the indexes and holds each against the log. Hold
// folds the entries of some devices anew; Rest, called after the last, finds the
// entries of devices that the indexes do not know. Every entry is decoded once.
type Told struct {
	l    *Ledger
	end  uint64          // entries; what a running line appends from here on is not asked for
	seen []atomic.Uint64 // a bit for each entry that was met in the chain of a device
}

// Told begins with the devices as they are now.
func (l *Ledger) Told() (*Told, error) {
	end, _, err := l.Head()
	if err != nil {
		return nil, err
	}
	return &Told{l: l, end: end, seen: make([]atomic.Uint64, end/64+1)}, nil
}

// Devices yields what is stored of all devices, some at a time and nothing of it
// held against the log yet.
func (t *Told) Devices() iter.Seq2[[]Stored, error] { return t.l.StoredDevices() }

// Hold folds all entries of some devices anew, and tells of a device that the
// indexes say something else of. It adds the lines of the last entry and of
// the one with the images to those that agree. Several goroutines may each hold
// some devices.
func (t *Told) Hold(list []Stored) error {
	return t.l.view(func(s *snapshot) error {
		var f chainFold
		var devices []*Stored
		for i := range list {
			devices = append(devices, &list[i])
		}
		// In the order of the log: what lies together is read once.
		slices.SortFunc(devices, func(a, b *Stored) int { return cmp.Compare(a.Last, b.Last) })
		for _, d := range devices {
			if err := t.hold(s, d, &f); err != nil {
				return fmt.Errorf("device %s: %w", d.MAC, err)
			}
		}
		return nil
	})
}

// chainFold is memory that is used again for the next device.
type chainFold struct{ entries []record.Entry }

func (t *Told) hold(s *snapshot, d *Stored, f *chainFold) error {
	f.entries = f.entries[:0]
	for n, more := d.Last, true; more; {
		raw, e, err := link(s, d.MAC, n, 0)
		if err != nil {
			return err
		}
		if n == d.Last {
			d.LastLine = raw
		}
		if n == d.Flashed {
			d.FlashedLine = raw
		}
		f.entries = append(f.entries, e)
		if n < t.end {
			t.seen[n/64].Or(1 << (n % 64))
		}
		n, more = e.Prev, e.Prev > 0
	}
	var want record.Device
	for i := len(f.entries) - 1; i >= 0; i-- {
		want.Apply(f.entries[i])
	}
	payload, err := devicePayload(want)
	if err == nil && !bytes.Equal(payload[deviceHead:], d.Device) {
		err = corrupt(notTold)
	}
	return err
}

const notTold = "its projection is not what its entries say; \"station ledger verify\" lists the faults"

// Rest tells whether the log has entries of devices that were not told, and holds
// all of its leaves against the tree.
func (t *Told) Rest() error {
	var edge edge
	for n := uint64(0); n < t.end; {
		to := min(t.end, n+scanned)
		var after edgeAt
		err := t.l.view(func(s *snapshot) (err error) {
			after, err = t.rest(s, edgeAt{edge, n}, to)
			return err
		})
		if err != nil {
			return err
		}
		edge, n = after.edge, after.n
	}
	return nil
}

// edgeAt is the edge of the tree over the entries before n.
type edgeAt struct {
	edge
	n uint64
}

func (t *Told) rest(s *snapshot, at edgeAt, to uint64) (edgeAt, error) {
	for it, err := range s.each(inEntries, number(at.n)) {
		n := at.n
		if n == to {
			return at, nil
		}
		if err != nil {
			return at, err
		}
		if string(it.Key) != number(n) {
			return at, corrupt("entry %d is missing", n)
		}
		if err := at.add(n, it.Value); err != nil {
			return at, err
		}
		if t.seen[n/64].Load()>>(n%64)&1 == 0 {
			if err := ofNoDevice(s, n, it.Value); err != nil {
				return at, err
			}
		}
		at.n++
	}
	if at.n < to {
		return at, corrupt("entry %d is missing", at.n)
	}
	return at, nil
}

// ofNoDevice makes sure that an entry is about no device.
func ofNoDevice(s *snapshot, n uint64, value []byte) error {
	raw, err := whole(s, n, value)
	if err != nil {
		return err
	}
	e, err := decode(raw)
	if err == nil && e.MAC != (chip.MAC{}) {
		err = corrupt("the indexes do not know entry %d of device %s", n, e.MAC)
	}
	return err
}

// edge is the right edge of the tree: edge[i] is the root of the full subtree of
// 1<<i leaves, where there is one.
type edge [64]tlog.Hash

// add holds the hashes that stand with entry n against those before it.
func (t *edge) add(n uint64, value []byte) error {
	if k := hashCount(n); len(value) <= k*tlog.HashSize {
		return corrupt("entry %d is missing or cut", n)
	}
	h := tlog.Hash(value)
	for level := 1; level < hashCount(n); level++ {
		h = tlog.NodeHash(t[level-1], h)
		if h != tlog.Hash(value[level*tlog.HashSize:]) {
			return corrupt("the tree's hash over the entries %d to %d is not theirs", n+1-1<<level, n)
		}
	}
	t[hashCount(n)-1] = h
	return nil
}
