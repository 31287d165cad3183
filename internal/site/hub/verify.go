package hub

import (
	"context"
	"fmt"

	"station/internal/ledger"
)

// Verified is what a copy was found to be.
type Verified struct {
	Bench  string   `json:"bench"`
	Size   uint64   `json:"entries"`
	Signed uint64   `json:"signed"` // entries under the newest checkpoint that both signed
	Faults []string `json:"faults"`
}

// verify rereads a bench's copy from its first entry on, and holds it against what the
// site learned when the entries came, and against the newest checkpoint that both signed.
func (m *mirror) verify(ctx context.Context) Verified {
	k := m.state()
	v := Verified{Bench: m.bench, Size: k.Size, Faults: []string{}}
	signed, err := ledger.ReadCheckpoint(k.Signed)
	if err == nil {
		v.Signed = signed.Size
	}
	fault := func(format string, args ...any) Verified {
		v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
		return v
	}
	var again known
	for again.Size < k.Size {
		n := again.Size
		msg, err := m.stream.GetMsg(ctx, n+1)
		if err != nil {
			return fault("entry %d cannot be read: %v", n, err)
		}
		if err := again.take(msg.Data); err != nil {
			return fault("entry %d: %v", n, err)
		}
		if again.Size == signed.Size && again.root() != signed.Root {
			return fault("the first %d entries are not those of the checkpoint that both signed", signed.Size)
		}
	}
	if again.root() != k.root() {
		return fault("the root of its %d entries is %s, and was %s when they came", k.Size, again.root(), k.root())
	}
	return v
}
