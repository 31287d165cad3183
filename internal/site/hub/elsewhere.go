package hub

import (
	"context"
	"fmt"

	"station/internal/ledger"
	"station/internal/site"
)

// sought answers a bench that wants to know whose device it has. What it gets are the
// entries of the bench whose device it is, proved under the head of that ledger as the
// site has it.
func (m *mirror) sought(ctx context.Context, q site.Sought) (a site.Answer, err error) {
	has, err := m.hub.claimOf(ctx, site.Names{MAC: q.MAC.String(), Simulated: q.Simulated})
	if err != nil || has.Bench == "" || has.Bench == m.bench && has.Moves <= q.Moves {
		return a, err
	}
	k := &site.Known{Bench: has.Bench, From: has.Bench, Pending: has.Bench == m.bench}
	if !k.Pending {
		if k.Pending, err = m.hub.pending(ctx, has, q); err != nil {
			return a, err
		}
	}
	if k.Pending {
		k.From = has.From
	}
	if k.Proof, err = m.hub.proveOf(ctx, k.From, q); err != nil || k.Proof == nil {
		return a, err
	}
	a.Known = k
	from, err := m.hub.of(k.From)
	if err == nil {
		k.Halted = from.halted()
	}
	return a, err
}

// pending tells whether a device was given to a bench, whose ledger does not have it yet.
func (h *Hub) pending(ctx context.Context, has claim, q site.Sought) (bool, error) {
	owner, err := h.of(has.Bench)
	if err != nil || has.Moves == 0 {
		return false, err
	}
	book, err := owner.book(ctx)
	if err != nil || book == nil {
		return true, err
	}
	d, _, err := book.Device(q.MAC)
	return d.Moves < has.Moves, err
}

// proveOf proves what a bench knows of a device.
func (h *Hub) proveOf(ctx context.Context, bench string, q site.Sought) (proof []byte, err error) {
	m, err := h.of(bench)
	if err == nil {
		err = m.caughtUp(ctx)
	}
	if err == nil {
		proof, err = m.prove(q)
	}
	if err != nil {
		err = fmt.Errorf("device %s at %s: %w", q.MAC, bench, err)
	}
	return proof, err
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
