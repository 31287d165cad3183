package report

import (
	"crypto"
	"crypto/ecdsa"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/ledger"
)

// Head is a ledger as it was at some size: what every file of this package
// tells of.
type Head struct {
	Ledger     *ledger.Ledger
	Size       uint64    // entries
	Root       tlog.Hash // of the tree over them
	Checkpoint string    // newest signed checkpoint, which may be older; "" for none
}

// HeadOf is the ledger as it is now. With a key, the head is signed.
func HeadOf(l *ledger.Ledger, key crypto.Signer) (*Head, error) {
	if key == nil {
		return unsigned(l)
	}
	if l.Simulated() {
		return nil, ErrSimulated
	}
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("checkpoint: want a P-256 key")
	}
	signed, err := l.Checkpoint(key)
	if err != nil {
		return nil, err
	}
	c, err := ledger.OpenCheckpoint(signed, public)
	if err != nil {
		return nil, err
	}
	return &Head{l, c.Size, c.Root, string(signed)}, nil
}

func unsigned(l *ledger.Ledger) (*Head, error) {
	signed, err := l.LastCheckpoint()
	if err != nil && !errors.Is(err, ledger.ErrNoCheckpoint) {
		return nil, err
	}
	size, root, err := l.Head()
	if err != nil {
		return nil, err
	}
	return &Head{l, size, root, string(signed)}, nil
}

// rootAt hashes the first size entries anew.
func rootAt(l *ledger.Ledger, size uint64) (tlog.Hash, error) {
	var stack []tlog.Hash // roots of whole subtrees, the largest first
	n := uint64(0)
	for raw, err := range l.Lines(0) {
		if err != nil {
			return tlog.Hash{}, err
		}
		if n == size {
			break
		}
		hash := tlog.RecordHash(raw)
		for i := n; i&1 == 1; i >>= 1 {
			top := len(stack) - 1
			hash, stack = tlog.NodeHash(stack[top], hash), stack[:top]
		}
		stack = append(stack, hash)
		n++
	}
	if n < size || n == 0 {
		return tlog.Hash{}, fmt.Errorf("the ledger has %d entries, not %d", n, size)
	}
	root := stack[len(stack)-1]
	for i := len(stack) - 2; i >= 0; i-- {
		root = tlog.NodeHash(stack[i], root)
	}
	return root, nil
}
