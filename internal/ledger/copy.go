package ledger

import (
	"errors"
	"fmt"

	"station/internal/record"
)

// CreateCopy makes a ledger whose first entry is that of another one, byte for
// byte. Copy adds the entries behind it. Whoever reads the copy finds all that
// the entries say; checkpoints are no entries, and are kept by KeepCosigned.
func CreateCopy(path string, first []byte) error {
	e, err := decode(first)
	if err == nil && e.Kind != record.LedgerCreated {
		err = errors.New("its first entry creates no ledger")
	}
	if err == nil {
		err = createWith(path, e.Simulated, func(t *txn) error { return errors.Join(t.setState(stateCopy, 1), t.copy(first)) })
	}
	if err != nil {
		return fmt.Errorf("create copy of a ledger %s: %w", path, err)
	}
	return nil
}

// Copy appends entries of another ledger, byte for byte, in one transaction. They
// were allowed where they were made: all that is asked of them is that each stands
// where it did. Errors: ErrElsewhere, and ErrNewer where this program does not know all
// that they say.
func (l *Ledger) Copy(lines [][]byte) error {
	return l.update(func(t *txn) error {
		for _, raw := range lines {
			n := t.size
			if err := t.copy(raw); err != nil {
				return fmt.Errorf("entry %d: %w", n, err)
			}
		}
		if len(lines) == 0 {
			return errUnchanged
		}
		return t.setState(stateCopy, 1) // earlier versions did not say so at its beginning
	})
}

func (t *txn) copy(raw []byte) error {
	e, err := decode(raw)
	if err != nil {
		return err
	}
	d, err := t.device(e.MAC)
	switch {
	case err != nil:
		return err
	case e.Version > record.Version:
		return ErrNewer
	case e.Index != t.size || e.Prev != d.Last:
		return ErrElsewhere
	}
	return t.write(raw, e, d)
}

// ErrElsewhere: an entry does not continue a copy.
var ErrElsewhere = errors.New("it does not stand here in its ledger")
