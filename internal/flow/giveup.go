package flow

import (
	"context"
	"fmt"
	"slices"

	"station/internal/efuse"
	"station/internal/record"
)

// A device is given up when a cut burn has left its key half burned and no other block can
// take it. Part of the key can be read there, or all of it where only check words are
// missing, and a fleet may share that key. So the block is hidden before the verdict: no fuse
// can make more of such a device than scrap.

// lost are the blocks that a device is given up with: those of secret keys that are half
// burned, and those that are hidden already. None where nothing of a key can be read and
// nothing was begun.
func (s *Session) lost() (blocks []string) {
	f, torn := s.Job.Chip(), s.intended(efuse.StageGiveUp)
	for _, b := range f.Efuse.Blocks {
		if s.mayHoldSecret(b.Name) && (s.Fuses.Torn(b.Name) || s.Fuses.StateOf(b.Name) == efuse.KeyHidden) {
			blocks, torn = append(blocks, b.Name), torn || s.Fuses.Torn(b.Name)
		}
	}
	if !torn {
		return nil
	}
	return blocks
}

// mayHoldSecret reports a block into which a secret key of the job can go.
func (s *Session) mayHoldSecret(block string) bool {
	return slices.ContainsFunc(s.Job.Plan.Keys(), func(k *efuse.Key) bool {
		use := s.Job.Chip().Seal.Keys[k.For()]
		return use.Hidden && slices.Contains(use.Blocks, block)
	})
}

// announced are the stages whose burn was begun on this device.
func (s *Session) announced() efuse.Plan {
	plan := s.planFor().Only(s.Device.Intended...)
	if s.intended(efuse.StageGiveUp) {
		plan = append(plan, efuse.GiveUp(s.Job.Chip(), s.lost()...)...)
	}
	return plan
}

func hideLost(s *Session) (efuse.Plan, error) { return efuse.GiveUp(s.Job.Chip(), s.lost()...), nil }

// givingUp hides what can be read of the keys of a device that err gives up. Where the device or
// the station is in the way of that, the device comes back for it.
func (v *visit) givingUp(ctx context.Context, err error) error {
	f := FailureFrom(err)
	if f.Code != "E-KEY-BLOCKS" || len(v.s.Device.Keys) == 0 || v.s.lost() == nil {
		return err
	}
	step := v.step
	defer func() { v.step = step }()
	hiding := v.do(ctx, giveUpStep)
	if hiding == nil {
		return &Failure{f.Code, fmt.Errorf("%w; what could be read of its keys is hidden", f.Err)}
	}
	switch FailureFrom(hiding).Kind().Verdict {
	case record.Retry, record.Station:
		return fmt.Errorf("%s: %w", giveUpStep.ID, hiding)
	}
	return &Failure{f.Code, fmt.Errorf("%w; part of a key can still be read: %w", f.Err, hiding)}
}
