package hub

import (
	"context"
	"errors"
	"fmt"
	"time"

	"station/internal/ledger"
	"station/internal/site/replica"
)

// replicateAtOnce is how many entries a replica takes in one transaction at most.
const replicateAtOnce = 4096

// replicate fills the bench's readable ledger for as long as the site runs.
func (m *mirror) replicate() {
	told := ""
	for m.hub.ctx.Err() == nil {
		err := m.replicateOnce()
		if m.hub.ctx.Err() != nil {
			return
		}
		if err.Error() != told { // and else not again every second
			told = err.Error()
			m.hub.Tell(told)
		}
		select {
		case <-m.hub.ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (m *mirror) replicateOnce() error {
	r, err := m.hub.replicas.Fill(m.bench)
	if err != nil {
		return err
	}
	defer m.unfilled()
	have, err := m.agreed(r)
	if err != nil {
		return err
	}
	var some [][]byte
	return m.read(m.goesOn(), have+1, func(_ uint64, raw []byte, more bool) error {
		if some = append(some, raw); more && len(some) < replicateAtOnce {
			return nil
		}
		err := r.Add(some)
		if have, some = have+uint64(len(some)), nil; err != nil {
			return err
		}
		return m.replicated(r, have)
	})
}

// unfilled forgets what the replica has: whoever fills it next may find another one.
func (m *mirror) unfilled() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.replica, m.replicaSize, m.kept = nil, 0, 0
}

// agreed is how many entries the replica has. One that has more than the stream is made
// anew; whether what it has is the stream's shows where both are as far (replicated).
func (m *mirror) agreed(r *replica.Replica) (uint64, error) {
	info, err := m.stream.Info(m.hub.ctx)
	if err != nil {
		return 0, err
	}
	n, err := r.Size()
	if err != nil || n == 0 {
		return 0, err
	}
	if n <= info.State.LastSeq {
		return n, m.replicated(r, n)
	}
	return 0, m.anew(r)
}

// anew empties a replica.
func (m *mirror) anew(r *replica.Replica) error {
	m.hub.Tell(fmt.Sprintf("replica of %s: it is not what the stream has; it is made anew", m.bench))
	return r.Forget()
}

// replicated holds the replica against the tree of the mirror, where that is as far, and
// gives it the newest checkpoint that both signed.
func (m *mirror) replicated(r *replica.Replica, have uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.known.Size == have {
		if _, root, err := r.Ledger().Head(); err != nil || root != m.known.root() {
			return errors.Join(m.anew(r), fmt.Errorf("replica of %s: its root is not that of the mirror", m.bench))
		}
	}
	m.replica, m.replicaSize = r, have
	m.wake()
	return m.keepSigned()
}

// keepSigned gives the replica the newest checkpoint that both signed, once it has all
// of its entries. The caller holds mu.
func (m *mirror) keepSigned() error {
	c, err := ledger.ReadCheckpoint(m.known.Signed)
	if err != nil || m.replica == nil || c.Size > m.replicaSize || c.Size <= m.kept {
		return nil
	}
	m.kept = c.Size
	return m.replica.Keep(m.known.Signed)
}

// wake wakes who waits for a change. The caller holds mu.
func (m *mirror) wake() {
	close(m.grown)
	m.grown = make(chan struct{})
}

// until waits until it is done, which is asked under mu when anything has changed.
func (m *mirror) until(ctx context.Context, done func() bool) error {
	for {
		m.mu.Lock()
		is, grown := done(), m.grown
		m.mu.Unlock()
		if is {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-grown:
		}
	}
}

// caughtUp waits until the replica has all that was stored when it began.
func (m *mirror) caughtUp(ctx context.Context) error {
	info, err := m.stream.Info(ctx)
	if err != nil {
		return err
	}
	var have uint64
	err = m.until(ctx, func() bool { have = m.replicaSize; return have >= info.State.LastSeq })
	if err != nil {
		err = fmt.Errorf("the readable ledger of %s has %d of %d entries: %w", m.bench, have, info.State.LastSeq, err)
	}
	return err
}

// caughtUp waits until the readable ledgers have all that is stored now.
func (h *Hub) caughtUp(ctx context.Context) error {
	h.mu.Lock()
	var all []*mirror
	for _, m := range h.mirrors {
		all = append(all, m)
	}
	h.mu.Unlock()
	for _, m := range all {
		if err := m.caughtUp(ctx); err != nil {
			return err
		}
	}
	return nil
}
