package ledger

import (
	"crypto/sha256"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of the tree: edge[i] is the root of the full subtree of
// 1<<i leaves, where there is one.
type edge [64]tlog.Hash

// edgeBefore is the edge over the entries before n as the file has it.
func edgeBefore(r reader, n uint64) (t edge, err error) {
	for level := range t {
		if n>>level&1 == 0 {
			continue
		}
		got, err := tree(r).ReadHashes([]int64{tlog.StoredHashIndex(level, int64(n>>level)-1)})
		if err != nil {
			return t, err
		}
		t[level] = got[0]
	}
	return t, nil
}

// add holds the hashes that stand with entry n against those before it.
func (t *edge) add(n uint64, value []byte) error {
	if _, err := behindHashes(n, value); err != nil {
		return err
	}
	h := tlog.Hash(value)
	for level := 1; level < hashCount(n); level++ {
		h = nodeHash(&t[level-1], &h)
		if h != tlog.Hash(value[level*tlog.HashSize:]) {
			return corrupt("the tree's hash over the entries %d to %d is not theirs", n+1-1<<level, n)
		}
	}
	t[hashCount(n)-1] = h
	return nil
}

// nodeHash is tlog.NodeHash without an allocation: a third of a look at the tree.
func nodeHash(left, right *tlog.Hash) tlog.Hash {
	var b [1 + 2*tlog.HashSize]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+tlog.HashSize:], right[:])
	return sha256.Sum256(b[:])
}
