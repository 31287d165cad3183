package flow

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"station/internal/efuse"
	"station/internal/record"
)

// The decisions of admission.
const (
	DecisionFresh      = "fresh"
	decisionResume     = "resume"
	DecisionSealed     = record.DecisionSealed
	DecisionQuarantine = record.DecisionQuarantine
)

// admit lets fuses and ledger decide together: fresh, resume, already sealed,
// or quarantine. It changes nothing on the chip. Trust is ordered chip, ledger,
// memory; what they cannot explain together is set apart.
func admit(ctx context.Context, s *Session) error {
	device, known, err := s.whose(s.ID.MAC)
	if err != nil {
		return Fail("E-LEDGER", err)
	}
	s.Device, s.Known = device, known
	decision, why, err := s.decide(ctx)
	decision, why, err = s.elsewhere(ctx, decision, why, err)
	if err != nil {
		f := FailureFrom(err)
		decision, why = DecisionQuarantine, f.Error()
	}
	e := record.Entry{Kind: record.Admitted, Decision: decision, Message: why, Keys: s.Device.NamedKeys(), Fuses: efuse.Redact(s.Fuses)}
	if at := s.Device.Elsewhere; at != nil && at.Bench != "" {
		e.About = record.AboutOf(at)
	}
	if noteErr := s.note(e); noteErr != nil {
		return noteErr
	}
	s.Sealed = decision == DecisionSealed
	return err
}

func (s *Session) decide(ctx context.Context) (decision, why string, err error) {
	if err := s.stranger(); err != nil {
		return "", "", err
	}
	if err := s.conflicted(s.Device); err != nil {
		return "", "", err
	}
	// A device whose loader was being closed and answers now is not closed.
	if d := s.Device; d.SetAside && d.SetAsideBy != "E-CLOSED" {
		return "", "", failf("E-SET-ASIDE", "%s was set aside as %s (%s); an engineer releases it with \"station ledger release %s\"", d.MAC, d.SetAsideAs, d.SetAsideBy, d.MAC)
	}
	if limit := s.Job.Line.Retests; limit > 0 && s.Device.Failures > limit {
		return "", "", failf("E-RETESTS", "%s has failed too often (%d); retests that the job allows: %d", s.ID.MAC, s.Device.Failures, limit)
	}
	if len(s.Device.Keys) == 0 {
		return s.decideUnknown()
	}
	if err := s.sealedOther(); err != nil {
		return "", "", err
	}
	if s.otherJob() && !s.Device.Sealed {
		if err := s.continues(); err != nil {
			return "", "", err
		}
	}
	if err := s.explained(); err != nil {
		return "", "", err
	}
	if !s.Device.Sealed {
		return decisionResume, s.resumePoint(), nil
	}
	return s.decideSealed(ctx)
}

// elsewhere lets another bench's device pass where nothing is left to do at it, and takes
// one over that was begun there. A key that nobody here knows is no foreign one before the
// site has said so.
func (s *Session) elsewhere(ctx context.Context, decision, why string, err error) (string, string, error) {
	at := s.Device.Elsewhere
	switch {
	case at == nil:
	case at.Bench == "":
		if err != nil && (FailureFrom(err).Code == "E-FOREIGN-KEY" || FailureFrom(err).Code == "E-FOREIGN-FUSES") {
			err = failf(record.ElsewhereCode, "another bench may have made it, and the site cannot be asked now; put it back when the site is there: %w", FailureFrom(err).Err)
		}
	case err == nil && decision == DecisionSealed:
		return decision, why + "; made at " + at.Bench, nil
	case err == nil && at.Proof != nil && !s.Device.Sealed:
		return decision, "begun at " + at.Bench + "; " + why, s.takeOver(ctx, at, why)
	case err == nil && at.Halted != "":
		err = failf(record.ElsewhereCode, "it is a device of %s, and goes on nowhere else before that is explained: %s", at.Bench, at.Halted)
	case err == nil:
		err = failf(record.ElsewhereCode, "it is a device of %s, which goes on with it: %s", at.Bench, why)
	case !s.Device.Sealed && FailureFrom(err).Code == "E-LEDGER-DISAGREES":
		err = failf(record.ElsewhereCode, "%s has it, and may have done more to it than the site has heard; \"station site push\" there tells all: %w", at.Bench, FailureFrom(err).Err)
	}
	return decision, why, err
}

// takeOver makes a device that another bench has begun this one's: in the ledger, before
// anything is done to it. The token must give its keys.
func (s *Session) takeOver(ctx context.Context, at *record.Elsewhere, why string) error {
	if s.batch == "" && s.Device.Batch != "" {
		return failf(record.ElsewhereCode, "%s began it in batch %s; start the line with that batch, or take it there", at.Bench, s.Device.Batch)
	}
	if err := s.sameKeys(ctx); err != nil {
		if f := FailureFrom(err); f.Code != "E-HSM-KEY" && f.Code != "E-KEY-CHANGED" {
			return err
		}
		return failf(record.ElsewhereCode, "%s began it, and the token of this station does not have its key: %w", at.Bench, FailureFrom(err).Err)
	}
	s.Device = *at.Own
	return s.note(record.Entry{Kind: record.Moved, Message: why, About: record.AboutOf(record.Move{From: at.Bench, Proof: at.Proof})})
}

// sameKeys makes sure that the token gives the keys that the device has.
func (s *Session) sameKeys(ctx context.Context) error {
	defer func() {
		s.Held.Destroy()
		clear(s.Held)
	}()
	for _, want := range s.Job.Keys() {
		if s.Device.KeyFor(want.Purpose).ID == "" {
			continue
		}
		if _, err := s.deviceKey(ctx, want); err != nil {
			return err
		}
	}
	return nil
}

// conflicted refuses a device of which the site has found a conflict.
func (s *Session) conflicted(d record.Device) error {
	if !d.Conflicted {
		return nil
	}
	return failf(record.Conflicting, "the site found %s in a conflict with another device; \"station site show\" of the benches says which; when it is explained, \"station site settle %s\" at the site lets it go on", d.MAC, d.MAC)
}

// decideUnknown admits a chip that has no key of ours.
func (s *Session) decideUnknown() (decision, why string, err error) {
	state := efuse.Classify(s.Fuses, nil)
	for _, at := range s.secretPlaces() {
		if now := s.Fuses.StateOf(at.block); now != efuse.KeyEmpty {
			return "", "", failf("E-FOREIGN-KEY", "%s is %s and the ledger knows no key for %s: %s", at.block, now, s.ID.MAC, state.Words)
		}
	}
	if count := s.ID.Of().Seal.Count; s.Fuses.Value(count) != 0 {
		return "", "", failf("E-FOREIGN-FUSES", "%s is %#x and the ledger knows no key for %s", count, s.Fuses.Value(count), s.ID.MAC)
	}
	for version, boot := range s.ID.Of().Seal.SecureBoot {
		if version != s.Job.SecureBoot.Version && s.Fuses.Value(boot.On) != 0 {
			return "", "", failf("E-FOREIGN-FUSES", "%s is burned, and the job's images are not signed for version %d of secure boot: %s would not start them", boot.On, version, s.ID.MAC)
		}
	}
	for _, fuse := range s.ID.Of().Seal.Foreign {
		if s.Fuses.Value(fuse.Field) != 0 {
			return "", "", failf("E-FOREIGN-FUSES", "%s is burned on %s: %s", fuse.Field, s.ID.MAC, fuse.About)
		}
	}
	if err := s.room(); err != nil {
		return "", "", err
	}
	if _, err := s.planFor().Diff(s.Fuses); err != nil {
		return "", "", Fail("E-FUSE-CONFLICT", err)
	}
	return DecisionFresh, state.Words, nil
}

// explained checks that every bit on the chip that speaks of our key or of
// encryption was announced in the ledger.
func (s *Session) explained() error {
	d := s.Device
	disagree := func(format string, args ...any) error {
		return failf("E-LEDGER-DISAGREES", "%s: %w", s.ID.MAC, fmt.Errorf(format, args...))
	}
	for _, at := range s.secretPlaces() {
		switch state := s.Fuses.StateOf(at.block); {
		case state != efuse.KeyEmpty && !s.intended(at.burn):
			return disagree("%s is %s, but no burn of the key was begun", at.block, state)
		case s.intended(efuse.StageGiveUp):
		case state == efuse.KeyHidden && !s.settled(at.burn):
			return disagree("%s is read-protected, but the key was never verified", at.block)
		case state == efuse.KeyHidden && !s.intended(at.protect):
			return disagree("%s is read-protected, but the protection was never begun", at.block)
		}
	}
	if count := s.ID.Of().Seal.Count; s.Fuses.Value(count) != 0 && !s.intended(efuse.StageCount) {
		return disagree("%s is %#x, but its burn was never begun", count, s.Fuses.Value(count))
	}
	if d.Fuses == nil {
		return nil
	}
	if err := s.announced().Explain(d.Fuses, s.Fuses); err != nil {
		return disagree("%w", err)
	}
	return nil
}

// intended reports whether the burn of a stage was ever begun on this device.
func (s *Session) intended(stage string) bool { return slices.Contains(s.Device.Intended, stage) }

// settled reports whether a stage was read back as wanted.
func (s *Session) settled(stage string) bool { return slices.Contains(s.Device.Settled, stage) }

func (s *Session) resumePoint() string {
	switch d := s.Device; {
	case d.SetAside:
		return "its loader answers, so it was not closed; goes on at lock"
	case d.Booted:
		return "started before; goes on at lock"
	case s.settled(efuse.StageCount):
		return "encryption is burned; goes on at boot"
	case s.settled(efuse.StageBootOn):
		return "secure boot is burned; goes on at boot"
	case s.intended(efuse.StageKey), s.intended(efuse.StageBootKey):
		return "the key's burn was begun; goes on with the same key"
	}
	return "a key was assigned; goes on with the same key"
}

// decideSealed passes a device that this very job has sealed without touching
// it, if its fuses are as recorded and its flash too. A flash that differs is
// written again with the same key.
func (s *Session) decideSealed(ctx context.Context) (decision, why string, err error) {
	left, err := s.planFor().Diff(s.Fuses)
	if err != nil {
		return "", "", Fail("E-LEDGER-DISAGREES", err)
	}
	if len(left) > 0 {
		return "", "", failf("E-LEDGER-DISAGREES", "%s is sealed in the ledger, but its fuses lack stage %s", s.ID.MAC, left[0].Name)
	}
	if now := efuse.Redact(s.Fuses); s.Device.Fuses != nil && !reflect.DeepEqual(now, s.Device.Fuses) {
		return "", "", failf("E-LEDGER-DISAGREES", "%s is sealed, but its fuses are not as recorded: %v, now %v", s.ID.MAC, s.Device.Fuses, now)
	}
	switch {
	case s.otherJob() || len(s.Device.Images) == 0:
		return decisionResume, "its flash was written for another job since it was sealed; goes on with the same key", nil
	case s.escrowLacks():
		return decisionResume, "its key has no escrow yet; goes on with the same key", nil
	}
	for _, image := range s.Device.Images {
		sum, err := s.Chip.FlashMD5(ctx, image.Address, uint32(image.Size))
		if err != nil {
			return "", "", fmt.Errorf("MD5 of %s: %w", image.Name, err)
		}
		if fmt.Sprintf("%x", sum) != image.MD5 {
			return decisionResume, image.Name + " is not in the flash as it was sealed; goes on with the same key", nil
		}
	}
	return DecisionSealed, "sealed before, with these images", nil
}
