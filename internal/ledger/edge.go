package ledger

import "golang.org/x/mod/sumdb/tlog"

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
		h = tlog.NodeHash(t[level-1], h)
		if h != tlog.Hash(value[level*tlog.HashSize:]) {
			return corrupt("the tree's hash over the entries %d to %d is not theirs", n+1-1<<level, n)
		}
	}
	t[hashCount(n)-1] = h
	return nil
}
