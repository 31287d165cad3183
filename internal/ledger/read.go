package ledger

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// readers is the file as everybody in this process reads it.
type readers struct {
	mu     sync.Mutex
	f      *os.File
	n      int // how many look at it now
	closed bool
	packs  dictionaries
}

func (r *readers) enter() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrClosed
	}
	if r.n == 0 {
		if err := announce(r.f); err != nil {
			return onDisk(err)
		}
	}
	r.n++
	return nil
}

func (r *readers) leave() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.n--; r.n > 0 {
		return
	}
	if withdraw(r.f); r.closed {
		_ = r.f.Close()
	}
}

// close waits for nobody: the last reader closes the file.
func (r *readers) close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	if r.closed = true; r.n > 0 {
		return nil
	}
	return r.f.Close()
}

// snapshot is the ledger as one commit left it.
type snapshot struct {
	*boltfile.Snapshot
	buckets map[string]boltfile.Bucket
	kept    *dictionaries
	recent  map[string]tail // nil before they are asked for
}

func (s *snapshot) bucket(name string) (boltfile.Bucket, error) {
	if b, ok := s.buckets[name]; ok {
		return b, nil
	}
	b, err := s.Bucket(name)
	if errors.Is(err, boltfile.ErrNoBucket) && s.olderThan(name) {
		b, err = boltfile.Empty(), nil
	}
	if err == nil {
		s.buckets[name] = b
	}
	return b, err
}

// olderThan tells whether the projections are of a version that had no such
// bucket yet. They are made anew when the ledger is next opened for writing.
func (s *snapshot) olderThan(name string) bool {
	if name == inDictionaries {
		return true
	}
	if name != inRecent && name != inTokens {
		return false
	}
	version, found, err := lookupNumber(s, inState, stateProjection)
	return err == nil && found && version < projection
}

func (s *snapshot) get(bucket, key string) ([]byte, error) {
	b, err := s.bucket(bucket)
	if err != nil {
		return nil, err
	}
	value, err := b.Get([]byte(key))
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", bucket, readable(bucket, key), err)
	}
	return value, nil
}

// each is items for whoever keeps nothing of an item.
func (s *snapshot) each(bucket, from string) iter.Seq2[boltfile.Item, error] {
	return func(yield func(boltfile.Item, error) bool) {
		b, err := s.bucket(bucket)
		if err != nil {
			yield(boltfile.Item{}, err)
			return
		}
		b.Each([]byte(from))(yield)
	}
}

// items yields a bucket's keys from one on.
func (s *snapshot) items(bucket, from string) iter.Seq2[boltfile.Item, error] {
	return func(yield func(boltfile.Item, error) bool) {
		b, err := s.bucket(bucket)
		if err != nil {
			yield(boltfile.Item{}, err)
			return
		}
		b.From([]byte(from))(yield)
	}
}

// size is the number of entries.
func (s *snapshot) size() (uint64, error) {
	b, err := s.bucket(inEntries)
	if err != nil {
		return 0, err
	}
	last, err := b.Last()
	if err != nil || last.Key == nil {
		return 0, err
	}
	if len(last.Key) != 8 {
		return 0, corrupt("entries: key %x", last.Key)
	}
	return fromNumber(last.Key) + 1, nil
}

// newest opens the newest snapshot.
func (r *readers) newest() (*snapshot, error) {
	s, err := boltfile.Open(r.f)
	if err != nil {
		return nil, err
	}
	return newSnapshot(s, &r.packs), nil
}

// device opens a projection, brings it up to the device's last entry and adds
// its images.
func (s *snapshot) device(payload []byte) (record.Device, error) {
	d, err := openDevice(payload)
	if err != nil {
		return d, err
	}
	recent, err := s.recentDevices()
	if err == nil {
		err = applyTail(s, &d, recent[string(d.MAC[:])])
	}
	if err == nil {
		err = addImages(s, &d)
	}
	return d, err
}

func newSnapshot(s *boltfile.Snapshot, kept *dictionaries) *snapshot {
	return &snapshot{kept: kept, Snapshot: s, buckets: map[string]boltfile.Bucket{}}
}

// kept tells whether the writer has kept all pages of s until now.
func (r *readers) kept(s *snapshot) bool {
	now, err := boltfile.Open(r.f)
	return err == nil && now.TxID() < s.TxID()+maxPins
}

// view lets fn look at the newest snapshot. It may call fn more than once, so
// fn starts its results anew, and keeps them only if view returns nil.
func (l *Ledger) view(fn func(*snapshot) error) error {
	if err := l.read.enter(); err != nil {
		return err
	}
	defer l.read.leave()
	return inFile(l.read.view(fn))
}

// view gives fn the newest snapshot, and again if its pages were not kept.
func (r *readers) view(fn func(*snapshot) error) error {
	for try := range 4 {
		s, err := r.newest()
		if err != nil {
			return err
		}
		if len(s.Damaged()) > 0 && try < 3 {
			time.Sleep(time.Millisecond) // a writer may be at work on that header
			continue
		}
		if err = fn(s); r.kept(s) {
			return err
		}
	}
	return fmt.Errorf("%w: it changed faster than it could be read", ErrBusy)
}

// project is view for what the projections tell.
func (l *Ledger) project(fn func(*snapshot) error) error {
	return l.view(func(s *snapshot) error {
		version, _, err := lookupNumber(s, inState, stateProjection)
		switch {
		case err != nil:
			return err
		case version != projection:
			return fmt.Errorf("%w: they are of version %d, not %d", ErrIndexes, version, projection)
		}
		if _, busy, err := lookupNumber(s, inState, stateProjected); err != nil {
			return err
		} else if busy {
			return fmt.Errorf("%w: its indexes are being rebuilt", ErrBusy)
		}
		return fn(s)
	})
}

// Commit is the number of the last change of the file: while it is the same, all
// that the ledger tells is.
func (l *Ledger) Commit() (n uint64, err error) {
	err = l.view(func(s *snapshot) error { n = s.TxID(); return nil })
	return n, err
}

// Device returns what the ledger knows of a MAC, held against the device's entries;
// found is false if it was never seen.
func (l *Ledger) Device(mac chip.MAC) (d record.Device, found bool, err error) {
	err = l.project(func(s *snapshot) (err error) {
		if d, found, err = deviceAt(s, mac); err == nil && found {
			err = s.asItsEntries(d)
		}
		return err
	})
	if err != nil {
		return record.Device{}, false, fmt.Errorf("device %s: %w", mac, err)
	}
	return d, found, nil
}

// KeyOwner returns the device that a key is bound to for ever. bound is also
// true, with a zero MAC, for a key that devices share.
func (l *Ledger) KeyOwner(keyID string) (mac chip.MAC, bound bool, err error) {
	err = l.project(func(s *snapshot) (err error) {
		mac, bound, err = owner(s, keyID)
		return err
	})
	if err != nil {
		return chip.MAC{}, false, fmt.Errorf("key %s: %w", keyID, err)
	}
	return mac, bound, nil
}

// SerialOwner returns the device that a serial number is bound to for ever.
func (l *Ledger) SerialOwner(serial string) (mac chip.MAC, bound bool, err error) {
	return l.KeyOwner(serialName(serial, l.Simulated()))
}

// TokenKeys returns what was noted last of each key of a token: entries of the
// kinds record.KeyImported and record.KeyRemoved, in the order of the names.
func (l *Ledger) TokenKeys(serial string) (list []record.Entry, err error) {
	err = l.project(func(s *snapshot) error {
		list = nil
		prefix := serial + "\x00"
		for it, err := range s.items(inTokens, prefix) {
			if err != nil || !strings.HasPrefix(string(it.Key), prefix) {
				return err
			}
			n, _, err := lookupNumber(s, inTokens, string(it.Key))
			if err != nil {
				return err
			}
			raw, err := entryAt(s, n)
			if err != nil {
				return err
			}
			e, err := decode(raw)
			if err != nil {
				return err
			}
			list = append(list, e)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("keys of token %s: %w", serial, err)
	}
	return list, nil
}

// Approval returns the newest entry in which a person approved the burn plan of
// that digest at the station.
func (l *Ledger) Approval(station, digest string) (e record.Entry, found bool, err error) {
	return l.approval(station, digest)
}

// ApprovalOf returns the newest entry in which a person approved a burn plan of
// that revision of a job at the station.
func (l *Ledger) ApprovalOf(station, job, rev string) (e record.Entry, found bool, err error) {
	return l.approval(station, revision(job, rev))
}

func (l *Ledger) approval(station, what string) (e record.Entry, found bool, err error) {
	err = l.project(func(s *snapshot) error {
		n, ok, err := lookupNumber(s, inApprovals, approval(station, what))
		if found = ok; err != nil || !ok {
			return err
		}
		raw, err := entryAt(s, n)
		if err == nil {
			e, err = decode(raw)
		}
		return err
	})
	if err != nil {
		return record.Entry{}, false, fmt.Errorf("approval of %q: %w", what, err)
	}
	return e, found, nil
}

// Lot returns the sums of a batch or job by the name that record.Entry.Lot gives.
func (l *Ledger) Lot(name string) (lot record.Lot, found bool, err error) {
	err = l.project(func(s *snapshot) (err error) {
		lot = record.Lot{}
		found, err = lookupJSON(s, inLots, name, &lot)
		return err
	})
	if err != nil {
		return record.Lot{}, false, fmt.Errorf("lot %s: %w", name, err)
	}
	return lot, found, nil
}

// Head returns the number of entries and the root of the tree over them.
func (l *Ledger) Head() (size uint64, root tlog.Hash, err error) {
	err = l.view(func(s *snapshot) (err error) {
		if size, err = s.size(); err == nil {
			root, err = rootOf(s, size)
		}
		return err
	})
	if err != nil {
		return 0, tlog.Hash{}, fmt.Errorf("head: %w", err)
	}
	return size, root, nil
}

// Entry returns one entry.
func (l *Ledger) Entry(n uint64) (e record.Entry, err error) {
	var raw []byte
	err = l.view(func(s *snapshot) (err error) {
		raw, err = entryAt(s, n)
		return err
	})
	if err == nil {
		e, err = decode(raw)
	}
	if err != nil {
		return record.Entry{}, fmt.Errorf("entry %d: %w", n, err)
	}
	return e, nil
}

// History returns all entries of a device, oldest first.
func (l *Ledger) History(mac chip.MAC) ([]record.Entry, error) {
	var list []record.Entry
	err := l.project(func(s *snapshot) (err error) {
		last, found, err := lastEntry(s, mac)
		if list = nil; err == nil && found {
			list, err = chain(s, mac, last, 0)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("history of %s: %w", mac, err)
	}
	return list, nil
}

// chain follows a device's entries back from its last one to the one behind
// known, oldest first; with 0 to its first.
func chain(r reader, mac chip.MAC, last, known uint64) ([]record.Entry, error) {
	const visit = 16 // entries that most devices have at most
	list := make([]record.Entry, 0, min(visit, last-known+1))
	for n := last; ; {
		_, e, err := link(r, mac, n, known, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
		if n = e.Prev; n == known {
			slices.Reverse(list)
			return list, nil
		}
	}
}

// link is one entry of a device's chain, of which the one before it is not before
// known; buf as for unpack.
func link(r reader, mac chip.MAC, n, known uint64, buf []byte) (raw []byte, e record.Entry, err error) {
	value, err := r.get(inEntries, number(n))
	if err == nil {
		raw, err = whole(r, n, value, buf)
	}
	if err != nil {
		return nil, e, err
	}
	e, err = decode(raw)
	return raw, e, continues(&e, mac, n, known, err)
}

// continues makes sure that entry n, read with err, is one of the device's chain.
func continues(e *record.Entry, mac chip.MAC, n, known uint64, err error) error {
	if err != nil || e.MAC != mac || e.Prev >= n || e.Prev < known {
		return corrupt("entry %d does not continue the device's chain: %w", n, errors.Join(err, errChain))
	}
	return nil
}

var errChain = errors.New("another MAC or a wrong index")
