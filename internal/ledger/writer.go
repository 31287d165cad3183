package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"golang.org/x/mod/sumdb/tlog"

	"station/internal/record"
)

// writer holds bbolt open. One transaction at a time.
type writer struct {
	mu     sync.Mutex
	db     *bbolt.DB
	file   *os.File    // bbolt's own
	opened os.FileInfo // of that file, when it was opened
	read   *os.File    // the reader's
	pins   []*bbolt.Tx // read transactions that keep pages for readers, oldest first
	head   head
	known  known // of the last entries
	kept   dictionaries
	stale  bool  // a commit failed: head and known are not to be trusted
	broken error // bbolt panicked on damage, or the ledger is closed
}

func openWriter(path string, simulated bool, read *os.File) (*writer, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, onDisk(err)
	}
	w := &writer{read: read, head: head{simulated: simulated}, stale: true}
	err = guarded(func() (err error) {
		w.db, err = bbolt.Open(path, fileMode, boltOptions(info.Size(), func(f *os.File) { w.file = f }))
		return err
	})
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, fmt.Errorf("%w: stop it, or use another ledger", ErrLocked)
	case err != nil:
		if w.file != nil {
			w.file.Close() // after a panic bbolt has not
		}
		return nil, onDisk(err)
	}
	if w.opened, err = w.file.Stat(); err != nil {
		_ = w.db.Close()
		return nil, onDisk(err)
	}
	w.db.AllocSize = 4 << 20 // the file grows in these steps, each with a sync of its own
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.pin(); err != nil {
		_ = w.shut()
		return nil, err
	}
	return w, nil
}

// guarded runs what touches bbolt's map of the file. Damage that bbolt does
// not check for ends there in a panic or a fault of the memory.
func guarded(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = corrupt("%v: verify it, restore a backup", r)
		}
	}()
	return fn()
}

// pin keeps every page of the newest commit from being used again for as long
// as a reader may look at it.
func (w *writer) pin() error {
	return guarded(func() error {
		tx, err := w.db.Begin(false)
		if err == nil {
			w.pins = append(w.pins, tx)
		}
		return onDisk(err)
	})
}

// unpin lets go of all pins but the newest n.
func (w *writer) unpin(n int) {
	for len(w.pins) > n {
		_ = w.pins[0].Rollback()
		w.pins = w.pins[1:]
	}
}

// update runs fn in one transaction. When it returns without an error, all of
// it is on disk; otherwise nothing of it is, except that a commit whose last
// sync failed may be there or not.
func (w *writer) update(o Options, fn func(*txn) error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return w.broken
	}
	// A reader that is not there yet will look at the newest commit: that one
	// stays pinned. Whoever is there already may look at any since it came.
	if readersPresent(w.file) {
		w.unpin(maxPins - 1)
	} else {
		w.unpin(1)
	}
	err := guarded(func() error { return w.transact(o, fn) })
	if err == nil || !errors.Is(err, ErrCorrupt) {
		err = errors.Join(err, w.pin())
	}
	if errors.Is(err, ErrCorrupt) {
		w.broken = err
	}
	return err
}

// errUnchanged ends a transaction that has nothing to write.
var errUnchanged = errors.New("nothing changed")

func (w *writer) transact(o Options, fn func(*txn) error) error {
	tx, err := w.db.Begin(true)
	if err != nil {
		return onDisk(err)
	}
	if w.stale {
		w.known = newKnown()
	}
	t := newTxn(tx, w.head, o, w.read, &w.kept)
	t.known = w.known
	if w.stale {
		err = t.findHead()
	}
	if err == nil {
		err = fn(t)
	}
	if err == nil {
		err = t.flush()
	}
	if err != nil {
		_ = tx.Rollback()
		if errors.Is(err, errUnchanged) {
			return nil
		}
		return err
	}
	w.stale = true
	if err := tx.Commit(); err != nil {
		return onDisk(err)
	}
	w.head, w.stale = t.head, false
	w.known.remember(t)
	for n, d := range t.dictionaries {
		w.kept.keep(n, d)
	}
	return nil
}

// findHead reads where the log stands, after checking the pages that every
// append writes.
func (t *txn) findHead() error {
	end := string(bytes.Repeat([]byte{0xff}, 8))
	if err := errors.Join(t.trust(inEntries, end), t.trust(inState, "")); err != nil {
		return err
	}
	var err error
	if t.format, _, err = lookupNumber(t, inState, stateFormat); err != nil {
		return err
	}
	key, value := t.bucket(inEntries).Cursor().Last()
	if t.size = 0; key == nil {
		return nil
	}
	if len(key) != 8 {
		return corrupt("entries: key %x", key)
	}
	n := fromNumber(key)
	raw, err := whole(t, n, value, nil)
	if err != nil {
		return err
	}
	e, err := decode(raw)
	if err != nil {
		return corrupt("entry %d: %w", n, err)
	}
	t.size, t.last = n+1, e.Time
	return t.findPeaks()
}

func (t *txn) findPeaks() error {
	var at []int64
	for level := range t.peaks {
		if t.size>>level&1 == 1 {
			at = append(at, tlog.StoredHashIndex(level, int64(t.size>>level)-1))
		}
	}
	hashes, err := tree(t).ReadHashes(at)
	if err != nil {
		return err
	}
	for level := range t.peaks {
		if t.size>>level&1 == 1 {
			t.peaks[level], hashes = hashes[0], hashes[1:]
		}
	}
	return nil
}

func (w *writer) close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.broken, ErrClosed) {
		return nil
	}
	return w.shut()
}

func (w *writer) shut() error {
	broken := w.broken
	w.broken = ErrClosed
	if broken != nil {
		// bbolt's locks may be held for ever; the file's lock goes with it.
		return w.file.Close()
	}
	w.unpin(0)
	return w.db.Close()
}

// Append writes one entry and returns it as stored. The ledger sets Version,
// Index, Time, Prev and ClockBack, and Station and Software where they are
// empty. When Append returns without an error the entry is on disk.
//
// Errors: record.ErrKeyTaken, ErrKeyBound, ErrMixed, ErrQuota and ErrBatch
// where the log says otherwise; ErrDisk, ErrCorrupt and ErrReadOnly where the
// ledger cannot be written.
func (l *Ledger) Append(e record.Entry) (record.Entry, error) {
	list, err := l.AppendAll([]record.Entry{e})
	if err != nil {
		return e, err
	}
	return list[0], nil
}

// AppendAll is Append for many entries in one transaction: all of them or none.
func (l *Ledger) AppendAll(list []record.Entry) ([]record.Entry, error) {
	if l.guest != nil {
		return l.guest.append(list)
	}
	return l.appendAs(l.opt, list)
}

// appendAs appends with a station and software that may be somebody else's.
func (l *Ledger) appendAs(o Options, list []record.Entry) ([]record.Entry, error) {
	stored := make([]record.Entry, 0, len(list))
	err := l.updateAs(o, func(t *txn) error {
		for _, e := range list {
			e, err := t.add(e)
			if err != nil {
				return describe(e, err)
			}
			stored = append(stored, e)
		}
		if len(list) == 0 {
			return errUnchanged
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

func describe(e record.Entry, err error) error {
	if e.MAC.IsZero() {
		return fmt.Errorf("%s: %w", e.Kind, err)
	}
	return fmt.Errorf("%s of %s: %w", e.Kind, e.MAC, err)
}

// Reserve takes the next number of the entry's lot (its batch, or its job) for
// the device, on disk before a key is made: record.ErrQuota if there is none
// left. A device that ever took a number of the lot keeps it, whatever other lots
// it was in since; so what a power cut can do is skip a number, never give one
// twice or one too many.
func (l *Ledger) Reserve(e record.Entry) (int, error) {
	e.Kind = record.NumberTaken
	var n int
	err := l.update(func(t *txn) error {
		d, err := t.device(e.MAC)
		if n = d.Numbers[e.Lot()]; err == nil && n > 0 {
			return t.keepNumber(e)
		}
		if err == nil {
			e, err = t.add(e)
			n = e.Number
		}
		if err != nil {
			return describe(e, err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// keepNumber lets a device go on with its number while its batch is open.
func (t *txn) keepNumber(e record.Entry) error {
	l, err := t.declared(e)
	if err == nil && !l.Closed.IsZero() {
		err = describe(e, fmt.Errorf("%w: %q is closed", record.ErrBatch, e.Batch))
	}
	if err != nil {
		return err
	}
	return errUnchanged
}

func (l *Ledger) update(fn func(*txn) error) error { return l.updateAs(l.opt, fn) }

func (l *Ledger) updateAs(o Options, fn func(*txn) error) error {
	if l.w == nil {
		return fmt.Errorf("append: %w", ErrReadOnly)
	}
	err := l.w.named(l.path)
	if err == nil {
		err = l.w.update(o, fn)
	}
	if err != nil {
		return fmt.Errorf("append: %w", err)
	}
	l.tellGrown()
	return nil
}

// named makes sure that the file still has its name: what is written into one
// that was removed, renamed or replaced would be found by nobody.
func (w *writer) named(path string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return nil // which is told
	}
	there, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrMoved, err)
	}
	if !os.SameFile(w.opened, there) {
		return fmt.Errorf("%w: %s is another file now", ErrMoved, path)
	}
	return nil
}
