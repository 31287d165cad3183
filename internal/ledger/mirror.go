package ledger

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// What somebody needs who keeps a copy of the log elsewhere.

// Extends proves that the log of size entries begins with its first older ones.
func (l *Ledger) Extends(older, size uint64) (path tlog.TreeProof, err error) {
	err = l.view(func(s *snapshot) (err error) {
		path, err = tlog.ProveTree(int64(size), int64(older), tree(s))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("proof from %d to %d: %w", older, size, err)
	}
	return path, nil
}

// Grown has something in it after entries were written by this process, for
// itself or for guests, until it is received; it serves one who waits.
func (l *Ledger) Grown() <-chan struct{} { return l.grown }

func (l *Ledger) tellGrown() {
	select {
	case l.grown <- struct{}{}:
	default:
	}
}

// KeepCosigned keeps a checkpoint of this log that somebody else signed too, in
// place of the one of the same size. One of the log's own keys has to have
// signed it as well.
func (l *Ledger) KeepCosigned(signed []byte) error {
	list, err := l.signersOf(signed)
	if err != nil {
		return fmt.Errorf("co-signed checkpoint: %w", err)
	}
	for _, der := range list {
		if l.guest != nil {
			_, err = l.guest.ask(request{Public: der, Checkpoint: signed})
		} else {
			err = l.adopt(der, signed)
		}
		if !errors.Is(err, ErrSignature) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("co-signed checkpoint: %w", err)
	}
	return nil
}

// signersOf are the keys of the log that signed the note.
func (l *Ledger) signersOf(signed []byte) (list [][]byte, err error) {
	err = l.view(func(s *snapshot) error {
		list = nil
		for it, err := range s.items(inSigners, "") {
			if err != nil {
				return err
			}
			key, err := ParsePublicKey(it.Key)
			if err != nil {
				return err
			}
			if _, err := OpenCheckpoint(signed, key); err == nil {
				list = append(list, it.Key)
			}
		}
		return nil
	})
	if err == nil && len(list) == 0 {
		err = ErrSignature
	}
	return list, err
}

// SignCheckpoint signs, in the name of who keeps a copy, what he has of a log.
func SignCheckpoint(c Checkpoint, name string, key crypto.Signer) ([]byte, error) {
	return SignNote(c.text(), name, key)
}

// ReadCheckpoint is what a signed checkpoint says, believed without a signature.
func ReadCheckpoint(signed []byte) (Checkpoint, error) { return parseCheckpoint(noteText(signed)) }

// SignedBy tells whether a key signed the checkpoint.
func SignedBy(signed []byte, key *ecdsa.PublicKey) bool {
	_, err := OpenCheckpoint(signed, key)
	return err == nil
}
