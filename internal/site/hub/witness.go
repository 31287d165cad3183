package hub

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/ledger"
	"station/internal/site"
)

// signingName is that of the site under notes.
func (h *Hub) signingName() string { return site.SigningName(h.Name) }

// meet compares what the bench has with the mirror. A ledger never gets another name,
// nor shorter.
func (m *mirror) meet(ctx context.Context, q site.Meeting) (a site.Answer, err error) {
	k, err := m.reach(ctx)
	switch {
	case err != nil:
		return a, err
	case k.Size > 0 && q.Origin != k.Origin:
		return a, m.refuse(q, "it is another ledger, %s; the site has %s of this bench", q.Origin, k.Origin)
	case q.Size < k.Size:
		return a, m.refuse(q, "it has %d entries, and the site has %d of it: it was set back", q.Size, k.Size)
	}
	return site.Answer{Size: k.Size, Root: k.root()}, nil
}

// goOn makes sure that the bench's ledger begins with the mirror.
func (m *mirror) goOn(ctx context.Context, q site.Continuation) (a site.Answer, err error) {
	if a, err = m.meet(ctx, q.Meeting); err != nil {
		return a, err
	}
	if q.Mirrored != a.Size {
		return a, site.ErrBehind
	}
	if a.Size > 0 && tlog.CheckTree(q.Path, int64(q.Size), q.Root, int64(a.Size), a.Root) != nil {
		return a, m.refuse(q.Meeting, "its first %d entries are not those that the site has of it: it was forked or changed", a.Size)
	}
	return a, m.met(q.Size, q.Unleased)
}

// met keeps how the ledger was when it came.
func (m *mirror) met(size uint64, unleased bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known.meet(size, unleased) {
		return nil
	}
	return m.save()
}

// witness signs a checkpoint with which the mirror begins.
func (m *mirror) witness(ctx context.Context, q site.Testimony) (a site.Answer, err error) {
	k, err := m.reach(ctx)
	if err != nil {
		return a, err
	}
	c, err := k.open(q.Signed)
	switch {
	case err != nil:
		return a, err
	case q.Mirrored != k.Size || c.Size > k.Size:
		return a, site.ErrBehind
	case tlog.CheckTree(q.Path, int64(k.Size), k.root(), int64(c.Size), c.Root) != nil:
		return a, m.refuse(site.Meeting{Origin: c.Origin, Size: c.Size, Root: c.Root, Signed: q.Signed},
			"it signed a checkpoint of %d entries that are not those that the site has of it", c.Size)
	}
	if a.Signed, err = ledger.Cosign(q.Signed, m.hub.signingName(), m.hub.Key); err != nil {
		return a, err
	}
	a.Size, a.Root = k.Size, k.root()
	return a, m.signed(a.Signed, c.Size)
}

// open reads a checkpoint that one of the log's own keys signed.
func (k *known) open(signed []byte) (c ledger.Checkpoint, err error) {
	err = ledger.ErrSignature
	for _, der := range k.Signers {
		key, keyErr := ledger.ParsePublicKey(der)
		if keyErr != nil {
			continue
		}
		if c, err = ledger.OpenCheckpoint(signed, key); err == nil {
			break
		}
	}
	if err == nil && (c.Origin != k.Origin || c.Size == 0) {
		err = errors.New("the checkpoint is of another ledger")
	}
	return c, err
}

// signed keeps the newest checkpoint that both signed.
func (m *mirror) signed(note []byte, size uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if c, err := ledger.ReadCheckpoint(m.known.Signed); err == nil && c.Size > size {
		return nil
	}
	m.known.Signed = note
	return errors.Join(m.save(), m.keepSigned())
}

// refuse halts the bench; its error is the Halt.
func (m *mirror) refuse(shown site.Meeting, format string, args ...any) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.halt(shown, fmt.Sprintf(format, args...)); err != nil {
		return err
	}
	return m.known.Halt
}

// halt refuses the bench from now on, and keeps what proves it. The caller holds mu.
func (m *mirror) halt(shown site.Meeting, reason string) error {
	k := &m.known
	note, err := ledger.SignCheckpoint(ledger.Checkpoint{Origin: k.Origin, Size: k.Size, Root: k.root()}, m.hub.signingName(), m.hub.Key)
	if err != nil {
		return err
	}
	k.Halt = &site.Halt{Bench: m.bench, Reason: reason, Time: now().Format("2006-01-02T15:04:05Z"), Site: note, Before: k.Signed, Shown: shown}
	m.wake()
	m.hub.Tell(fmt.Sprintf("E-LEDGER-SITE: %s: %s", m.bench, reason))
	return m.save()
}
