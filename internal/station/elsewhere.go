package station

import (
	"context"
	"errors"
	"fmt"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/outbox"
)

// Device implements flow.Ledger: of a device that this bench has not made, what the bench
// knows that has, as the site proves it.
func (c claims) Device(mac chip.MAC) (record.Device, bool, error) {
	d, known, err := c.Ledger.Device(mac)
	if err != nil || len(d.Keys) > 0 || d.SetAside || d.Conflicted {
		return d, known, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), claimTime)
	defer cancel()
	other, err := c.site.Sought(ctx, site.Sought{MAC: mac, Simulated: mac.Local()})
	switch {
	case errors.Is(err, outbox.ErrAway) && c.site.offline == OfflineLease:
		d.Elsewhere = &record.Elsewhere{}
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
	if err == nil && p.MAC != mac {
		err = fmt.Errorf("it is about %s", p.MAC)
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
	d.Elsewhere = &record.Elsewhere{Bench: other.Bench, Checkpoint: p.Checkpoint}
	return d, true, nil
}
