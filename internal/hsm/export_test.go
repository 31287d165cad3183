package hsm

import (
	"context"

	"station/internal/secret"
)

// NatureOf judges a token by its model and by the flags of its slot.
var NatureOf = natureOf

// Block computes the first block of the KDF over any fixed input, for test
// vectors that have another label than ours.
func (t *Token) Block(ctx context.Context, master string, fixed []byte) (*secret.Bytes, error) {
	return call(ctx, t, repeat, func() (*secret.Bytes, error) {
		h, err := t.key(Master, master)
		if err != nil {
			return nil, err
		}
		return t.mac(h.prf, h.object, master, counted(1, fixed))
	})
}

// KDFInput is the first block of the KDF's input.
func KDFInput(r Request) []byte { return kdfBlock(1, r) }

// Under the race detector a guess takes ten times as long; what is tested here is
// what is remembered, not what a guess costs.
func init() { guessCost = 1 << 10 }
