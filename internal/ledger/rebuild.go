package ledger

import (
	"errors"
	"fmt"

	bolterrors "go.etcd.io/bbolt/errors"

	"station/internal/record"
)

// Rebuild makes the projections anew from the log. Until it is done readers
// get ErrBusy; a power cut in between is made good when the ledger is next
// opened.
func (l *Ledger) Rebuild() error {
	err := l.update((*txn).forget)
	if err == nil {
		err = l.catchUp()
	}
	if err != nil {
		return fmt.Errorf("rebuild: %w", err)
	}
	return nil
}

// forget empties the projections and says so. bbolt walks all their pages for
// that, so the whole file is checked before: damaged pages are beyond it.
func (t *txn) forget() error {
	if err := t.trust(inState, ""); err != nil {
		return err
	}
	for err := range t.base.Snapshot.Check(nil) {
		return corrupt("%w: restore a backup", err)
	}
	for _, name := range projections {
		err := t.tx.DeleteBucket([]byte(name))
		if err != nil && !errors.Is(err, bolterrors.ErrBucketNotFound) { // as in ledgers older than it
			return err
		}
		b, err := t.tx.CreateBucket([]byte(name))
		if err != nil {
			return err
		}
		t.b[name] = b
	}
	// Ledgers of older versions have no dictionaries. What is there stays: the
	// entries are packed against them.
	b, err := t.tx.CreateBucketIfNotExists([]byte(inDictionaries))
	if err != nil {
		return err
	}
	t.b[inDictionaries] = b
	t.known, t.recent = newKnown(), map[string]tail{}
	if err := t.setState(stateProjection, projection); err != nil {
		return err
	}
	return t.setState(stateProjected, 0)
}

// catchUp finishes a rebuilding that was begun, and begins one where the
// projections are of another version.
func (l *Ledger) catchUp() error {
	var version uint64
	var more bool
	err := l.view(func(s *snapshot) (err error) {
		if version, _, err = lookupNumber(s, inState, stateProjection); err == nil {
			_, more, err = lookupNumber(s, inState, stateProjected)
		}
		return err
	})
	if err == nil && version != projection {
		more = true
		err = l.update((*txn).forget)
	}
	for more && err == nil {
		err = l.update(func(t *txn) (err error) {
			more, err = t.step(5000)
			return err
		})
	}
	return err
}

// step folds up to n more entries into projections that are being rebuilt.
func (t *txn) step(n uint64) (more bool, err error) {
	from, busy, err := lookupNumber(t, inState, stateProjected)
	if err != nil || !busy {
		return false, err
	}
	t.known = newKnown() // they are ahead of what is rebuilt so far
	to := min(from+n, t.size)
	for ; from < to; from++ {
		if err := t.replay(from); err != nil {
			return false, err
		}
	}
	if to < t.size {
		return true, t.setState(stateProjected, to)
	}
	if err := t.haveDictionary(); err != nil {
		return false, err
	}
	return false, t.bucket(inState).Delete([]byte(stateProjected))
}

func (t *txn) replay(n uint64) error {
	raw, err := entryAt(t, n)
	if err != nil {
		return err
	}
	e, err := decode(raw)
	if err != nil {
		return corrupt("entry %d: %w", n, err)
	}
	if e.Version > record.Version {
		return ErrNewer
	}
	d, err := t.device(e.MAC)
	if err != nil {
		return err
	}
	return t.project(e, d)
}
