package efuse

import (
	"cmp"
	"fmt"
	"math/bits"
	"slices"

	"station/internal/chip"
)

// Mode is how far a device is closed.
type Mode string

// The modes, named as ESP-IDF names them.
const (
	Release     Mode = "release"     // encryption can never be switched off
	Development Mode = "development" // the flash may be rewritten over the serial port
)

// ofStage takes the number off a stage of keys: 0 for the first.
func ofStage(name string) (stem string, n int) {
	for _, stem := range []string{StageKey, StageProtect, StageBootKey, StageBootProtect, StageHMACKey, StageHMACProtect} {
		for n := 1; n < 3; n++ {
			if name == Numbered(stem, n) {
				return stem, n
			}
		}
	}
	return name, 0
}

// Stem is a stage's name without its number.
func Stem(stage string) string {
	stem, _ := ofStage(stage)
	return stem
}

// stageOf says in which stage a set, or one bit of a mask, is burned.
func stageOf(f *chip.Family, set Set) (string, bool) {
	switch set.Field {
	case "RD_DIS":
		return StageProtect, hidesKey(f, set.Value)
	case "WR_DIS":
		for _, one := range set.each() {
			if stage, ok := f.Seal.LockBits[bits.TrailingZeros32(one.Value)]; ok && stage == "" {
				return "", false
			}
		}
		if stage, ok := f.Seal.LockBits[bits.TrailingZeros32(set.Value)]; ok {
			return stage, true
		}
		return StageLock, true
	}
	stage, ok := f.Seal.Burnable[set.Field]
	return stage, ok
}

// hidesKey reports whether bits of RD_DIS hide nothing but blocks of keys that
// must be hidden.
func hidesKey(f *chip.Family, mask uint32) bool {
	for v := mask; v != 0; v &= v - 1 {
		bit := bits.TrailingZeros32(v)
		if !slices.ContainsFunc(f.Efuse.Blocks, func(b chip.Block) bool { return b.ReadMask()>>bit&1 == 1 && mayHide(f, b.Name) }) {
			return false
		}
	}
	return mask != 0
}

// mayHide reports whether a block is for a key that must be hidden.
func mayHide(f *chip.Family, block string) bool {
	for _, use := range f.Seal.Keys {
		if use.Hidden && slices.Contains(use.Blocks, block) {
			return true
		}
	}
	return false
}

// hides are the bits of RD_DIS that hide a key in its block, 0 for none.
func hides(f *chip.Family, k *Key) uint32 {
	if k == nil {
		return 0
	}
	for _, set := range protects(f, k) {
		if set.Field == "RD_DIS" {
			return set.Value
		}
	}
	return 0
}

// protects are the fuses that protect a key in its block: what it is for, that
// nobody can read it, that nobody can write it or say otherwise.
func protects(f *chip.Family, k *Key) []Set {
	i := f.Efuse.Block(k.In(f))
	if i < 0 {
		return nil
	}
	b, use := f.Efuse.Blocks[i], f.Seal.Keys[k.For()]
	var sets []Set
	lock := uint32(1) << b.WriteDisable
	if purpose, ok := f.Efuse.Field(b.Purpose); ok {
		sets = append(sets, Set{b.Purpose, use.Value})
		lock |= 1 << purpose.WriteDisable
	}
	for _, v := range use.With {
		sets = append(sets, Set{v.Field, v.Value})
	}
	if use.Hidden {
		sets = append(sets, Set{"RD_DIS", cmp.Or(use.Hides, b.ReadMask())})
	}
	return append(sets, Set{"WR_DIS", lock})
}

// defaults are the fuses of a mode.
func defaults(f *chip.Family, m Mode) ([]chip.Value, bool) {
	switch m {
	case Release:
		return f.Seal.Release, true
	case Development:
		return f.Seal.Development, true
	}
	return nil, false
}

// ofEncryption reports a field that means something for flash encryption alone.
func ofEncryption(f *chip.Family, field string) bool {
	return field == f.Seal.Count || slices.Contains(f.Seal.Loader, field) ||
		slices.ContainsFunc(f.Seal.Right, func(v chip.Value) bool { return v.Field == field })
}

// rank orders sets by the field table, the bits of masks after all values, as
// they are burned.
func rank(chip *chip.Family, s Set) int {
	i := fieldIndex(chip, s.Field)
	if s.isMask() {
		return len(chip.Efuse.Fields) + 32*i + bits.TrailingZeros32(s.Value)
	}
	return i
}

func fieldIndex(f *chip.Family, name string) int {
	return slices.IndexFunc(f.Efuse.Fields, func(field chip.Field) bool { return field.Name == name })
}

// add joins bits of the same mask.
func (s *Stage) add(set Set) {
	for i, have := range s.Sets {
		if have.Field == set.Field {
			s.Sets[i].Value |= set.Value
			return
		}
	}
	s.Sets = append(s.Sets, set)
}

// wants is the value that the plan gives a field, 0 if none.
func (p Plan) wants(field string) uint32 {
	var v uint32
	for _, s := range p {
		for _, set := range s.Sets {
			if set.Field == field {
				v |= set.Value
			}
		}
	}
	return v
}

// Warnings says in what the plan is weaker than the mode's name promises.
func (p Plan) Warnings(m Mode) []string {
	var out []string
	f := p.family()
	plain := p.wants(f.Seal.Count) == 0
	if plain {
		out = append(out, "the flash is not encrypted: whoever has the device can read all that is in it")
	}
	for _, right := range f.Seal.Right {
		if plain {
			break
		}
		if c := p.wants(right.Field); c == 0 {
			out = append(out, right.Field+" = 0: the key does not change with the flash address, so equal blocks look equal everywhere and can be moved unnoticed")
		} else if c != right.Value {
			out = append(out, fmt.Sprintf("%s = %d: only part of the key changes with the flash address", right.Field, c))
		}
	}
	for _, o := range f.Seal.Open {
		if !(plain && ofEncryption(f, o.Field)) && p.wants(o.Field) == 0 && (m == Release || !slices.Contains(f.Seal.OpenInDevelopment, o.Field)) {
			out = append(out, o.Field+" is not burned: "+o.About)
		}
	}
	for _, boot := range f.Seal.SecureBoot {
		for n, revoke := range boot.Revoke {
			if p.wants(boot.On) != 0 && !p.burns(boot.Purposes()[n]) && p.wants(revoke) == 0 {
				out = append(out, revoke+" is not burned: firmware can add a key that signs")
			}
		}
	}
	if f.Seal.Lock >= 0 && p.wants("WR_DIS")>>f.Seal.Lock&1 == 0 {
		out = append(out, fmt.Sprintf("WR_DIS bit %d is not burned: %s", f.Seal.Lock, f.Seal.LockAbout))
	}
	count, _ := f.Efuse.Field(f.Seal.Count)
	if m == Release && !plain && p.wants(f.Seal.Count) != f.Seal.CountFull && p.wants("WR_DIS")>>count.WriteDisable&1 == 0 {
		out = append(out, f.Seal.Count+" has free bits and is not write-protected: encryption can be switched off again")
	}
	return out
}
