package flow

import (
	"cmp"
	"context"
	"crypto/rsa"
	"fmt"

	"station/internal/chip"
	"station/internal/job"
	"station/internal/record"
)

// key finds or makes the device's keys and its identity, and binds them to the
// MAC, once and for ever.
func key(ctx context.Context, s *Session) error {
	if !s.Device.Sealed {
		if err := s.reserve(); err != nil {
			return err
		}
	}
	if err := s.room(); err != nil {
		return err
	}
	if err := s.assignKeys(ctx); err != nil {
		return err
	}
	if err := s.moveOn(); err != nil {
		return err
	}
	// A key block that somebody else wrote, or that holds other bits than this
	// key, is found here, before anything is written.
	if _, err := s.planFor().Of(job.KeyStages...).Diff(s.Fuses); err != nil {
		return Fail("E-KEY-CONFLICT", err)
	}
	return s.identify(ctx)
}

// assignKeys takes every key that the job wants out of the token. Those that
// the ledger does not know for this job yet are in it, all in one entry, before
// anything else is done.
func (s *Session) assignKeys(ctx context.Context) error {
	e := record.Entry{Kind: record.KeyAssigned}
	for _, want := range s.Job.Keys() {
		k, err := s.deviceKey(ctx, want)
		if err != nil {
			return err
		}
		// Also a key that the device has: it is this job's device from here on,
		// and an escrow is on disk before anything is burned.
		if s.Device.KeyFor(want.Purpose).ID == "" || s.otherJob() || k.Escrow != nil {
			e.Keys, e.Token = append(e.Keys, s.assigned(want, k)), k.Token
		}
	}
	for _, k := range s.trusted() {
		if s.Device.KeyFor(k.Purpose).ID == "" || s.otherJob() {
			e.Keys = append(e.Keys, k)
		}
	}
	if e.Keys == nil {
		return nil
	}
	return s.note(e)
}

// trusted are the public keys whose digests the device gets, as the ledger names
// them; none without version 2 of secure boot. They are those of many devices.
func (s *Session) trusted() (keys []record.Key) {
	purposes := s.Job.Chip().Seal.SecureBoot[s.Job.SecureBoot.Version].Purposes()
	for i, id := range s.Job.SecureBoot.TrustedKeys() {
		keys = append(keys, record.Key{Purpose: purposes[i], ID: id, Policy: "shared"})
	}
	return keys
}

// deviceKey is the device's key for one purpose.
func (s *Session) deviceKey(ctx context.Context, want job.WantedKey) (DeviceKey, error) {
	had := s.Device.KeyFor(want.Purpose)
	if had.ID != "" && had.Bits != want.Bits {
		return DeviceKey{}, failf("E-KEY-CHANGED", "the ledger has a key of %d bits, the job wants one of %d", cmp.Or(had.Bits, chip.UsualKeyBits), cmp.Or(want.Bits, chip.UsualKeyBits))
	}
	k, err := s.Keys.DeviceKey(ctx, KeyRequest{
		Chip: s.Job.ChipName(), MAC: s.ID.MAC, Purpose: want.Purpose, Size: s.keyBytes(want), Policy: want.Policy, Label: want.Label, PRF: want.PRF,
		ID: had.ID, Wrapped: had.Wrapped, Escrow: s.escrowTo(want),
	})
	if err != nil {
		return DeviceKey{}, Fail("E-HSM", fmt.Errorf("device key: %w", err))
	}
	s.Held[want.Purpose] = k
	if had.ID != "" && had.ID != k.ID {
		return DeviceKey{}, failf("E-KEY-CHANGED", "the ledger has key %s, the token gives %s", had.ID, k.ID)
	}
	return k, nil
}

// keyBytes is the length of a key.
func (s *Session) keyBytes(want job.WantedKey) int {
	purpose := want.Purpose
	if purpose == chip.FlashEncryption {
		purpose = s.Job.FlashKeyParts()[0] // each knows the length of all
	}
	return s.ID.Of().KeyBytes(purpose, s.ID.Coding)
}

// assigned is what the ledger keeps of a key.
func (s *Session) assigned(want job.WantedKey, k DeviceKey) record.Key {
	out := record.Key{Purpose: want.Purpose, Blocks: s.blocksOf(want.Purpose), Bits: want.Bits, ID: k.ID, Policy: want.Policy, Wrapped: k.Wrapped, Escrow: k.Escrow}
	if k.Escrow != nil {
		out.EscrowTo = job.Fingerprint(want.EscrowKey())
	}
	return out
}

// escrowTo is the officer's key to which this key of the device has still to be
// wrapped; nil for none.
func (s *Session) escrowTo(want job.WantedKey) *rsa.PublicKey {
	if k := want.EscrowKey(); k != nil && s.Device.KeyFor(want.Purpose).EscrowTo != job.Fingerprint(k) {
		return k
	}
	return nil
}

// escrowLacks reports a key of the device that has no escrow and should have one.
func (s *Session) escrowLacks() bool {
	for _, want := range s.Job.Keys() {
		if want.EscrowKey() != nil && s.Device.KeyFor(want.Purpose).EscrowTo == "" {
			return true
		}
	}
	return false
}
