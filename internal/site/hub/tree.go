package hub

import "golang.org/x/mod/sumdb/tlog"

// tree is the right edge of a Merkle tree (RFC 6962): enough to add a leaf, and to
// know the root.
type tree struct {
	Size  uint64      `json:"size"`
	Peaks []tlog.Hash `json:"peaks"` // of the full subtrees, the largest first
}

func (t *tree) add(leaf []byte) {
	h := tlog.RecordHash(leaf)
	for n := t.Size; n&1 == 1; n >>= 1 {
		last := len(t.Peaks) - 1
		h, t.Peaks = tlog.NodeHash(t.Peaks[last], h), t.Peaks[:last]
	}
	t.Peaks = append(t.Peaks, h)
	t.Size++
}

func (t *tree) root() (h tlog.Hash) {
	for i := len(t.Peaks) - 1; i >= 0; i-- {
		if i == len(t.Peaks)-1 {
			h = t.Peaks[i]
		} else {
			h = tlog.NodeHash(t.Peaks[i], h)
		}
	}
	return h
}
