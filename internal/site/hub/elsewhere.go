package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"station/internal/ledger"
	"station/internal/site"
)

// sought answers a bench that wants to know whose device it has. What it gets are the
// entries of the bench whose device it is, proved under the head of that ledger as the
// site has it.
func (m *mirror) sought(ctx context.Context, q site.Sought) (a site.Answer, err error) {
	value, err := m.hub.claims.Get(ctx, site.NoticeKey(q.MAC, q.Simulated))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return a, nil
	}
	var has claim
	if err == nil {
		err = json.Unmarshal(value.Value(), &has)
	}
	if err != nil || has.Bench == m.bench {
		return a, err
	}
	owner, err := m.hub.of(has.Bench)
	if err != nil {
		return a, err
	}
	if err := owner.caughtUp(ctx); err != nil {
		return a, err
	}
	proof, err := owner.prove(q)
	if err != nil {
		return a, fmt.Errorf("device %s at %s: %w", q.MAC, has.Bench, err)
	}
	if proof != nil {
		a.Known = &site.Known{Bench: has.Bench, Proof: proof}
	}
	return a, nil
}

// prove proves all that the bench's ledger has of a device; nil where it has nothing.
func (m *mirror) prove(q site.Sought) ([]byte, error) {
	book := m.hub.replicas.Ledger(m.bench)
	if book == nil {
		return nil, nil
	}
	if _, known, err := book.Device(q.MAC); err != nil || !known {
		return nil, err
	}
	size, root, err := book.Head()
	if err != nil {
		return nil, err
	}
	signed, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: book.Origin(), Size: size, Root: root}, m.hub.signingName(), m.hub.Key)
	if err != nil {
		return nil, err
	}
	p, _, err := book.ProveUnder(signed, q.MAC)
	if err != nil {
		return nil, err
	}
	return p.File()
}
