package flow

import (
	"fmt"
	"slices"
	"strings"

	"station/internal/efuse"
	"station/internal/record"
)

// otherJob tells whether the device was worked on last under another job than
// this one: another product, another revision, or other images.
func (s *Session) otherJob() bool { return s.Device.JobHash != s.Job.Digest() }

// continues decides whether a device that was begun under another job, and
// never sealed, may go on under this one.
//
// The key stays for ever, so this job must want keys of the same kind. Before
// the first burn nothing else binds the device: everything is written anew.
// From the first burn on it must be the same product, of which a new revision
// may mend what kept the device from starting; and every fuse that was burned
// must be one that this job burns too.
func (s *Session) continues() error {
	d := s.Device
	for _, k := range s.Job.Keys() {
		had, want := d.KeyFor(k.Purpose).ID, k.Policy+":"+k.Label+":"
		if had != "" && !strings.HasPrefix(had, want) {
			return s.begunOther("its key is " + had + ", this job's begin with " + want)
		}
	}
	if d.FlashKey().ID != "" && !s.Job.Encrypts() {
		return s.begunOther("its key is " + d.FlashKey().ID + ", this job's devices have none for their flash")
	}
	if err := s.sameBlocks(); err != nil {
		return err
	}
	for _, k := range s.trusted() {
		if had := d.KeyFor(k.Purpose).ID; had != "" && had != k.ID {
			return s.begunOther("it trusts the key " + had + ", this job's trust " + k.ID)
		}
	}
	if want := s.Job.Identity; want != nil && d.Identity.Known() && d.Identity.Label != want.Label {
		return s.begunOther(fmt.Sprintf("its identity comes of %s, this job's of %s", d.Identity.Label, want.Label))
	}
	if len(d.Intended) == 0 {
		return nil
	}
	if d.Job != s.Job.Name {
		return s.begunOther("its fuses are being burned for another product")
	}
	if d.Fuses != nil {
		if err := s.announced().Explain(d.Fuses, s.Fuses); err != nil {
			return s.begunOther("this job does not want what was burned: " + err.Error())
		}
	}
	if s.readsAKey() || s.intended(efuse.StageGiveUp) {
		return nil // the step key holds its bits against the key, or says that it is lost
	}
	if _, err := s.planFor().Diff(s.Fuses); err != nil {
		return s.begunOther("this job does not want what was burned: " + err.Error())
	}
	return nil
}

// sameBlocks refuses a job whose firmware looks for a key where the device has another
// one, or has it somewhere else.
func (s *Session) sameBlocks() error {
	for _, want := range s.Job.Plan.Named() {
		for _, had := range s.Device.Keys {
			is, its := slices.Contains(had.Blocks, want.Block), had.Purpose == want.For()
			if is != its {
				return s.begunOther(fmt.Sprintf("%s is for its key for %s, this job's firmware looks for the key for %s in %s", strings.Join(had.Blocks, " and "), had.Purpose, want.For(), want.Block))
			}
		}
	}
	return nil
}

// readsAKey tells whether a secret key of the chip can still be read. Nothing is
// burned behind one that is not protected.
func (s *Session) readsAKey() bool {
	return slices.ContainsFunc(s.planFor(), func(stage efuse.Stage) bool {
		k := stage.Key
		return k != nil && k.Secret == nil && s.Fuses.StateOf(k.In(stage.Chip)) == efuse.KeyWritten
	})
}

func (s *Session) begunOther(why string) error {
	return failf(record.OtherJob, "begun under job %s (%s), this is %s (%s): %s; finish it with its own job",
		s.Device.MadeBy(), s.Device.JobHash, s.Job.Title(), s.Job.Digest(), why)
}

// sealedOther refuses a device that is sealed under another job. It is still
// what it was: only this line is the wrong one.
func (s *Session) sealedOther() error {
	d := s.Device
	if !d.Sealed || d.SealedHash == s.Job.Digest() {
		return nil
	}
	return failf(record.SealedOther, "sealed under job %s (%s), this is %s (%s)", d.SealedJob, d.SealedHash, s.Job.Title(), s.Job.Digest())
}

// honest refuses a chip of which nobody can tell whether it is real: it says
// that it is virtual and has a real MAC, or the reverse.
func (s *Session) honest() error {
	switch mac := s.ID.MAC; {
	case s.ID.Simulated == mac.Local():
		return nil
	case s.ID.Simulated:
		return failf(record.Doubtful, "%s says that it is a virtual chip, and its MAC is a real one's", mac)
	default:
		return failf(record.Doubtful, "%s does not say that it is a virtual chip, and its MAC is no real one's: it is locally administered", mac)
	}
}

// simulated reports a virtual chip beyond doubt.
func (s *Session) simulated() bool { return s.ID.Simulated && s.ID.MAC.Local() }

// stranger tells a chip with a copied MAC from the device that the ledger
// knows: fuses cannot be unburned, so the chip lacks none that it ever had.
func (s *Session) stranger() error {
	d := s.Device
	for _, at := range s.secretPlaces() {
		if s.Fuses.StateOf(at.block) == efuse.KeyEmpty && s.settled(at.burn) {
			return failf(record.Stranger, "%s: the ledger saw the key burned, but %s is empty: this is another chip with the same MAC", d.MAC, at.block)
		}
	}
	if d.Fuses == nil || len(d.Keys) == 0 {
		return nil
	}
	if err := efuse.Lost(d.Fuses, s.Fuses); err != nil {
		return failf(record.Stranger, "%s: %w: this is another chip with the same MAC", d.MAC, err)
	}
	return nil
}
