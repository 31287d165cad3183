package flow

import (
	"errors"
	"fmt"
	"strings"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/record"
)

// Where a device's keys are. A block of the ESP32 is for one purpose. The later
// chips have six, of which each key takes the next free one: a block is
// programmed once, and what a cut burn has left in it is never completed.

// places are the blocks of the plan's keys: as recorded, as the chip says itself,
// or the next free ones. A purpose without any has no block left.
func (s *Session) places() map[chip.Purpose]string {
	out := map[chip.Purpose]string{}
	var taken []string
	put := func(p chip.Purpose, block string) {
		if block != "" {
			out[p], taken = block, append(taken, block)
		}
	}
	keys := s.Job.Plan.Keys()
	for _, k := range keys {
		if had := s.Device.KeyFor(k.For()).Blocks; len(had) > 0 {
			put(k.For(), had[0])
		} else if s.Held[k.For()].Secret == nil && k.Secret.Len() > 0 { // a digest: it can be read
			put(k.For(), s.Fuses.Placed(k))
		}
	}
	for _, k := range keys {
		if out[k.For()] == "" {
			put(k.For(), s.Fuses.Free(k.For(), taken...))
		}
	}
	return out
}

// blockOf is the fuse block of the key for a purpose; "" where none is left.
func (s *Session) blockOf(p chip.Purpose) string { return s.places()[p] }

// keyBlock is the block of the key for flash encryption: the recorded one, or the
// one that says that it is for it.
func (s *Session) keyBlock() string {
	if had := s.Device.KeyFor(chip.FlashEncryption).Blocks; len(had) > 0 {
		return had[0]
	}
	return s.Fuses.FlashKeyBlock()
}

// keyState says what can be seen of that block.
func (s *Session) keyState() efuse.KeyState { return s.Fuses.StateOf(s.keyBlock()) }

// room makes sure that each key has a block.
func (s *Session) room() error {
	places := s.places()
	for _, k := range s.Job.Plan.Keys() {
		if places[k.For()] == "" {
			return failf("E-KEY-BLOCKS", "no block is free for the key for %s", k.For())
		}
	}
	return nil
}

// moveOn gives the key the next free block where a burn of it was cut off: what
// the read-out and its decoder tell of the old block goes into the ledger.
func (s *Session) moveOn() error {
	_, err := s.planFor().Only(efuse.StageKey).Diff(s.Fuses)
	if !errors.Is(err, efuse.ErrTorn) {
		return nil
	}
	was := s.keyBlock()
	next := s.Fuses.Free(chip.FlashEncryption, was)
	if next == "" {
		return Fail("E-KEY-BLOCKS", fmt.Errorf("%w, and no other block is free", err))
	}
	k := s.Device.KeyFor(chip.FlashEncryption)
	k.Blocks = []string{next}
	return s.note(record.Entry{Kind: record.KeyAssigned, Keys: []record.Key{k},
		Message: fmt.Sprintf("%s is half burned and can be programmed once only, so the key goes into %s: %v", was, next, err)})
}

// passedOver tells of half-burned blocks which a key does not go into.
func (s *Session) passedOver(k *efuse.Key) string {
	if k == nil {
		return ""
	}
	var torn []string
	for _, block := range s.ID.Of().Seal.Keys[k.For()].Blocks {
		if block != k.Block && s.Fuses.Torn(block) {
			torn = append(torn, block)
		}
	}
	if torn == nil {
		return ""
	}
	return fmt.Sprintf("half burned, and programmed once only: %s; the key for %s goes into %s", strings.Join(torn, ", "), k.For(), k.Block)
}
