package station

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/outbox"
)

// Whose implements flow.Whose: of a device that this bench has not sealed, what the bench
// knows whose it is, as the site proves it. A bench with numbers in hand goes on with its
// own devices while the site is away.
func (c claims) Whose(mac chip.MAC) (record.Device, bool, error) {
	d, known, err := c.Device(mac)
	if err != nil || d.Sealed || d.SetAside || d.Conflicted {
		return d, known, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimTime)
	defer cancel()
	other, err := c.site.Sought(ctx, site.Sought{MAC: mac, Simulated: mac.Local(), Moves: d.Moves})
	switch {
	case errors.Is(err, outbox.ErrAway) && c.site.offline == OfflineLease:
		if len(d.Keys) == 0 {
			d.Elsewhere = &record.Elsewhere{}
		}
	case errors.Is(err, outbox.ErrAway):
		return d, known, away(err)
	case err != nil:
		return d, known, err
	case other != nil:
		return c.site.proved(mac, other, d)
	}
	return d, known, nil
}

// proved is a device as another bench knows it, where that has a key for it.
func (s *Site) proved(mac chip.MAC, other *site.Known, own record.Device) (record.Device, bool, error) {
	p, entries, err := ledger.CheckProof(other.Proof, s.Pass.Witness)
	if errors.Is(err, ledger.ErrSignature) {
		err = fmt.Errorf("%w: the site signs with another key than the pass has; \"station site add\" makes a pass that has it", err)
	}
	if err == nil && p.MAC != mac {
		err = fmt.Errorf("it is about %s", p.MAC)
	}
	var proof bytes.Buffer
	if err == nil {
		err = json.Compact(&proof, other.Proof)
	}
	if err != nil {
		return own, false, fmt.Errorf("what the site says of %s: %w", mac, err)
	}
	d := record.Device{}
	for _, e := range entries {
		d.Apply(e)
	}
	if len(d.Keys) == 0 {
		return own, own.Runs > 0, nil
	}
	d.Elsewhere = &record.Elsewhere{Bench: other.Bench, Checkpoint: p.Checkpoint, Halted: other.Halted}
	if other.Halted == "" && other.From != "" && (!other.Pending || other.Bench == s.Pass.Bench) { // an older site moves none
		d.Elsewhere.Bench, d.Elsewhere.Proof, d.Elsewhere.Own = other.From, proof.Bytes(), &own
	}
	return d, true, nil
}

// move asks the site for the device of an entry of kind Moved, which is written only where
// it is this bench's then.
func (c claims) move(e record.Entry) error {
	m, _, err := e.Brought()
	var size uint64
	if err == nil {
		size, err = ledger.MovedSize(m.Proof)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimTime)
	defer cancel()
	err = c.site.Move(ctx, site.Moving{MAC: e.MAC, Simulated: e.Simulated, From: m.From, Size: size})
	taken := new(site.Taken)
	switch {
	case errors.As(err, &taken):
		return flow.Fail(record.ElsewhereCode, fmt.Errorf("%s has gone on with it meanwhile: %w", taken.Bench, err))
	case err != nil:
		return away(fmt.Errorf("%s: %w", e.Kind, err))
	}
	return nil
}
