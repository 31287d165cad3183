package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"station/internal/ledger"
	"station/internal/site"
)

// Verified is what rereading the copy of a bench's ledger found.
type Verified struct {
	Bench  string   `json:"bench"`
	Size   uint64   `json:"entries"`
	Signed uint64   `json:"signed"` // entries under the newest checkpoint that both signed
	Faults []string `json:"faults"`
}

// reachTime is how long the site may take to read what came in just now.
const reachTime = time.Minute

// verify rereads all of a bench's copy from its first entry on, and holds it against what the
// site learned when the entries came, and against the newest checkpoint that both signed.
func (m *mirror) verify(ctx context.Context) (Verified, error) {
	reading, cancel := context.WithTimeout(ctx, reachTime)
	defer cancel()
	k, err := m.reach(reading)
	if halted := (*site.Halt)(nil); err != nil && !errors.As(err, &halted) {
		return Verified{}, err
	}
	v := Verified{Bench: m.bench, Size: k.Size, Faults: []string{}}
	signed, err := ledger.ReadCheckpoint(k.Signed)
	if err == nil {
		v.Signed = signed.Size
	}
	fault := func(format string, args ...any) (Verified, error) {
		v.Faults = append(v.Faults, fmt.Sprintf(format, args...))
		return v, nil
	}
	var again known
	for again.Size < k.Size {
		n := again.Size
		msg, err := m.stream.GetMsg(ctx, n+1)
		if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || ctx.Err() != nil {
			return v, fmt.Errorf("read entry %d: %w", n, err) // that says nothing of the entry
		}
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
	return v, nil
}
