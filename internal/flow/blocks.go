package flow

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/record"
)

// Where a device's keys are. A block of the ESP32 is for one purpose. The later
// chips have six, of which each key takes the next free one: a block is
// programmed once, and what a cut burn has left in it is never completed. A key that
// firmware names by its block goes there or nowhere.

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
		if had := s.recordedBlock(k.For()); k.Named(s.Job.Chip()) {
			put(k.For(), k.Block)
		} else if had != "" {
			put(k.For(), had)
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

// recordedBlock is the block that the ledger names for a key, or for a part of one; ""
// for none.
func (s *Session) recordedBlock(p chip.Purpose) string {
	f := s.Job.Chip()
	part := max(slices.Index(s.Job.FlashKeyParts(), p), 0)
	if had := s.Device.KeyFor(f.WholeOf(p)).Blocks; part < len(had) {
		return had[part]
	}
	return ""
}

// blocksOf are the fuse blocks of the key for a purpose, one for each part; "" where
// none is left.
func (s *Session) blocksOf(p chip.Purpose) (list []string) {
	places := s.places()
	for _, k := range s.Job.Plan.Keys() {
		if s.Job.Chip().WholeOf(k.For()) == p {
			list = append(list, places[k.For()])
		}
	}
	return list
}

// keyBlocks are the blocks of the key for flash encryption: the recorded ones, or those
// that say that they are for it.
func (s *Session) keyBlocks() []string {
	if had := s.Device.KeyFor(chip.FlashEncryption).Blocks; len(had) > 0 {
		return had
	}
	return s.Fuses.FlashKeyBlocks()
}

// keyPlace is the block of a secret key, and the stages that burn and hide it there.
type keyPlace struct{ block, burn, protect string }

// secretPlaces are the places of the key for flash encryption and of the keys for HMACs.
func (s *Session) secretPlaces() (list []keyPlace) {
	for n, block := range s.keyBlocks() {
		if !s.Job.Encrypts() && s.isForDigest(block) {
			continue
		}
		list = append(list, keyPlace{block, efuse.Numbered(efuse.StageKey, n), efuse.Numbered(efuse.StageProtect, n)})
	}
	for n, k := range s.Job.Plan.Named() {
		list = append(list, keyPlace{k.Block, efuse.Numbered(efuse.StageHMACKey, n), efuse.Numbered(efuse.StageHMACProtect, n)})
	}
	return list
}

// isForDigest reports that the job has a digest of secure boot in the block, which would
// be that of a key too.
func (s *Session) isForDigest(block string) bool {
	return slices.ContainsFunc(s.Job.Plan.Keys(), func(k *efuse.Key) bool { return k.In(s.Job.Chip()) == block })
}

// hidingLeftovers has the plan hide what cut burns have left of the key for flash encryption in
// blocks that it does not go into: part of it can be read there. It goes with the last protection
// of the key; what is torn after that is no secret's, or leads no further.
func (s *Session) hidingLeftovers(plan efuse.Plan, places map[chip.Purpose]string) efuse.Plan {
	f, parts := s.Job.Chip(), s.Job.FlashKeyParts()
	stage := efuse.Numbered(efuse.StageProtect, len(parts)-1)
	taken := slices.Collect(maps.Values(places))
	var left []string
	for _, b := range f.Efuse.Blocks {
		mine := slices.Contains(f.Seal.Keys[parts[0]].Blocks, b.Name) && !slices.Contains(taken, b.Name)
		if !mine || b.Purpose == "" || s.Fuses.Value(b.Purpose) != 0 {
			continue
		}
		if s.Fuses.Torn(b.Name) && !s.settled(stage) || s.Fuses.StateOf(b.Name) == efuse.KeyHidden {
			left = append(left, b.Name)
		}
	}
	return plan.Hiding(stage, left...)
}

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

// moveOn gives each part of the key the next free block where a burn of it was cut
// off: what the read-out and its decoder tell of the old block goes into the ledger.
// A device whose key can be in one block only has none left then.
func (s *Session) moveOn() error {
	if s.intended(efuse.StageGiveUp) {
		return failf("E-KEY-BLOCKS", "%s was given up before: a cut burn has left its key half burned, and no other block could take that", s.ID.MAC)
	}
	for n, part := range s.Job.FlashKeyParts() {
		_, err := s.planFor().Only(efuse.Numbered(efuse.StageKey, n)).Diff(s.Fuses)
		if !errors.Is(err, efuse.ErrTorn) {
			continue
		}
		if err := s.movePart(n, part, err); err != nil {
			return err
		}
	}
	for n, k := range s.Job.Plan.Named() {
		_, err := s.planFor().Only(efuse.Numbered(efuse.StageHMACKey, n)).Diff(s.Fuses)
		if errors.Is(err, efuse.ErrTorn) {
			return Fail("E-KEY-BLOCKS", fmt.Errorf("%w, and the firmware looks for its key for %s in this block alone", err, k.For()))
		}
	}
	return nil
}

func (s *Session) movePart(n int, part chip.Purpose, err error) error {
	k := s.Device.KeyFor(chip.FlashEncryption)
	next := s.Fuses.Free(part, slices.Collect(maps.Values(s.places()))...)
	if next == "" {
		return Fail("E-KEY-BLOCKS", fmt.Errorf("%w, and no other block is free", err))
	}
	was := k.Blocks[n]
	k.Blocks = slices.Clone(k.Blocks)
	k.Blocks[n] = next
	return s.note(record.Entry{Kind: record.KeyAssigned, Keys: []record.Key{k},
		Message: fmt.Sprintf("%s is half burned and can be programmed once only, so the key goes into %s, and what is left in the other is hidden with it: %v", was, next, err)})
}

// passedOver tells of half-burned blocks which a key does not go into.
func (s *Session) passedOver(k *efuse.Key) string {
	if k == nil || k.Named(s.Job.Chip()) {
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
