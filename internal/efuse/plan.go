package efuse

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/record"
)

// Set is what one field must hold: exactly Value, or, in the masks WR_DIS and
// RD_DIS, at least the bits of Value.
type Set struct {
	Field string
	Value uint32
}

// ParseSet reads a field as a job names it: FLASH_CRYPT_CNT, or for a bit of a
// mask the name that ESP-IDF's table gives it, WR_DIS.BLOCK1 or RD_DIS.BLOCK1.
// A bit may be named after any field that it covers.
func ParseSet(chip *chip.Family, name string, value uint32) (Set, error) {
	chip = known(chip)
	mask, member, ok := strings.Cut(name, ".")
	if !ok {
		f, known := chip.Efuse.Field(name)
		switch {
		case !known:
			return Set{}, fmt.Errorf("fuse %s: the %s has no such field", name, chip.Title)
		case f.Width < 32 && value>>f.Width != 0:
			return Set{}, fmt.Errorf("fuse %s: %d does not fit into %d bits", name, value, f.Width)
		}
		return Set{name, value}, nil
	}
	f, known := chip.Efuse.Field(member)
	bit := f.WriteDisable
	if mask == "RD_DIS" {
		bit = f.ReadDisable
	}
	switch {
	case !known || bit < 0 || mask != "WR_DIS" && mask != "RD_DIS":
		return Set{}, fmt.Errorf("fuse %s: the %s has no such bit", name, chip.Title)
	case value > 1:
		return Set{}, fmt.Errorf("fuse %s: want 0 or 1, not %d", name, value)
	}
	return Set{mask, value << bit}, nil
}

func (s Set) isMask() bool { return s.Field == "WR_DIS" || s.Field == "RD_DIS" }

// each yields the set itself, or a mask's bits one by one.
func (s Set) each() []Set {
	if !s.isMask() {
		return []Set{s}
	}
	var out []Set
	for v := s.Value; v != 0; v &= v - 1 {
		out = append(out, Set{s.Field, v & -v})
	}
	return out
}

// name is the field, or "WR_DIS bit 7 (BLOCK1)" for one bit of a mask.
func (s Set) name(f *chip.Family) string {
	if !s.isMask() {
		return s.Field
	}
	bit := bits.TrailingZeros32(s.Value)
	return fmt.Sprintf("%s bit %d (%s)", s.Field, bit, strings.Join(covered(f, s.Field, bit), ", "))
}

// covered names what a bit of a mask protects.
func covered(f *chip.Family, mask string, bit int) []string {
	var names []string
	for _, field := range f.Efuse.Fields {
		by := field.WriteDisable
		if mask == "RD_DIS" {
			by = field.ReadDisable
		}
		if by == bit && (field.Block == 0 || field.Width == 256 || f.Efuse.Blocks[field.Block].ReadHalves && mask == "RD_DIS") {
			names = append(names, field.Name)
		}
	}
	if names == nil {
		return []string{"unused"}
	}
	return names
}

// text is "FLASH_CRYPT_CNT = 127" or "WR_DIS bit 7 (BLOCK1)".
func (s Set) text(f *chip.Family) string {
	if !s.isMask() {
		return fmt.Sprintf("%s = %d", s.Field, s.Value)
	}
	var names []string
	for _, one := range s.each() {
		names = append(names, one.name(f))
	}
	return strings.Join(names, ", ")
}

// about says in words what the set does.
func (s Set) about(f *chip.Family) string {
	what := strings.Join(covered(f, s.Field, bits.TrailingZeros32(s.Value)), ", ")
	switch s.Field {
	case "WR_DIS":
		return what + " can never be written again"
	case "RD_DIS":
		return what + " can never be read again, only used by the chip"
	}
	field, _ := f.Efuse.Field(s.Field)
	return field.About
}

// Why says why a plan has a fuse, named as a change names it; "" where that
// follows from what the fuse does.
func (p Plan) Why(field string) string {
	for _, s := range p {
		for _, set := range s.Sets {
			for _, one := range set.each() {
				if one.name(p.family()) == field {
					return one.why(p.family())
				}
			}
		}
	}
	return ""
}

func (s Set) why(f *chip.Family) string {
	if s.isMask() {
		return f.Seal.Why[fmt.Sprintf("%s.%d", s.Field, bits.TrailingZeros32(s.Value))]
	}
	if s.Field == f.Seal.Count && s.Value != f.Seal.CountFull {
		return f.Seal.Why[s.Field+".part"]
	}
	return f.Seal.Why[s.Field]
}

// in returns the bits of the set that the words of BLOCK0 hold, and those they lack.
func (s Set) in(f *chip.Family, block0 []uint32) (held, missing uint32) {
	field, _ := f.Efuse.Field(s.Field)
	v := uint32(value(field, block0))
	return v & s.Value, s.Value &^ v
}

// Stage is what one call of Burn burns: the key first, then values, then what
// protects them.
type Stage struct {
	Chip *chip.Family // nil is the ESP32
	Name string
	Key  *Key // burned into its block, read back and compared
	Sets []Set

	// Compare must be what its block holds before anything of the stage is burned.
	Compare *Key
	// Torn are blocks that cut burns have left half burned. The stage hides them, with its own
	// key's if it has one: part of a key can be read there.
	Torn []string
	// Needs must be in the chip before anything of the stage is burned.
	Needs []Set
}

// Plan is the stages of one device, in order. It is data; only Burn acts.
type Plan []Stage

// Only is the plan's stages of just these names, in the plan's order.
func (p Plan) Only(names ...string) Plan {
	return slices.DeleteFunc(slices.Clone(p), func(s Stage) bool { return !slices.Contains(names, s.Name) })
}

// Of is Only by names without numbers: each stands for all stages that have it with one.
func (p Plan) Of(stems ...string) Plan {
	return slices.DeleteFunc(slices.Clone(p), func(s Stage) bool { return !slices.Contains(stems, Stem(s.Name)) })
}

// WithKey is the plan for one device, whose key for its purpose this is. A key
// with a block of its own goes there, and so do its protections. The digest of
// a plan is that of the plan before.
func (p Plan) WithKey(k *Key) Plan {
	out := slices.Clone(p)
	f := p.family()
	var was, is []Set
	for i := range out {
		for _, slot := range []**Key{&out[i].Key, &out[i].Compare} {
			if *slot == nil || (*slot).For() != k.For() {
				continue
			}
			own := *k
			own.Policy, own.Purpose, own.Beside = (*slot).Policy, (*slot).Purpose, (*slot).Beside
			own.Block = cmp.Or(k.Block, (*slot).Block)
			was, is = protects(f, *slot), protects(f, &own)
			*slot = &own
		}
	}
	if slices.Equal(was, is) {
		return out
	}
	for i := range out {
		if c := out[i].Compare; c != nil && c.For() == k.For() {
			out[i].Sets = moved(out[i].Sets, was, is)
		}
		out[i].Needs = moved(out[i].Needs, was, is)
	}
	return out
}

// Hiding is the plan for a chip in which cut burns have left blocks half burned: the stage
// of that name hides and freezes them too. The digest of a plan is that of the plan before.
func (p Plan) Hiding(stage string, torn ...string) Plan {
	out := slices.Clone(p)
	for i := range out {
		if out[i].Name != stage {
			continue
		}
		out[i].Torn, out[i].Sets = torn, slices.Clone(out[i].Sets)
		for _, block := range torn {
			for _, set := range sealsTorn(p.family(), block) {
				out[i].Sets = with(out[i].Sets, set)
			}
		}
	}
	return out
}

// GiveUp is the plan for a chip in which cut burns have left keys half burned that no other
// block can take: what can be read of them is hidden and frozen.
func GiveUp(f *chip.Family, torn ...string) Plan {
	return Plan{{Chip: f, Name: StageGiveUp}}.Hiding(StageGiveUp, torn...)
}

// sealsTorn are the fuses after which nobody can read a block, write it, or say what it is for.
func sealsTorn(f *chip.Family, block string) []Set {
	b := f.Efuse.Blocks[f.Efuse.Block(block)]
	lock := uint32(1) << b.WriteDisable
	if purpose, ok := f.Efuse.Field(b.Purpose); ok {
		lock |= 1 << purpose.WriteDisable
	}
	return []Set{{"RD_DIS", b.ReadMask()}, {"WR_DIS", lock}}
}

// with adds the bits of a mask to those of some sets.
func with(sets []Set, mask Set) []Set {
	for i := range sets {
		if sets[i].Field == mask.Field {
			sets[i].Value |= mask.Value
			return sets
		}
	}
	return append(sets, mask)
}

// moved is sets with the protections of one block in place of another's.
func moved(sets, was, is []Set) []Set {
	sets = slices.Clone(sets)
	for i, s := range sets {
		for j, old := range was {
			switch {
			case s.Field != old.Field || s.Value&old.Value != old.Value:
			case s.isMask():
				sets[i].Value = s.Value&^old.Value | is[j].Value
			default:
				sets[i] = is[j]
			}
		}
	}
	return sets
}

// Keys are the keys that the plan burns, in order.
func (p Plan) Keys() (keys []*Key) {
	for _, s := range p {
		if s.Key != nil {
			keys = append(keys, s.Key)
		}
	}
	return keys
}

// Named are the keys of the plan that go into a block which firmware names.
func (p Plan) Named() []*Key {
	return slices.DeleteFunc(p.Keys(), func(k *Key) bool { return !k.Named(p.family()) })
}

// burns reports that the plan burns a key for a purpose.
func (p Plan) burns(purpose chip.Purpose) bool {
	return slices.ContainsFunc(p.Keys(), func(k *Key) bool { return k.For() == purpose || k.Beside != nil && k.Beside.For() == purpose })
}

// Digest names the plan: stages, fields, values and the key's policy, in
// order. It is the same for every device and says nothing about a key.
func (p Plan) Digest() string {
	h := sha256.New()
	fmt.Fprintln(h, "station fuse plan 1")
	if f := p.family(); f != known(nil) {
		fmt.Fprintf(h, "chip %s\n", f.Name)
	}
	for _, s := range p {
		fmt.Fprintf(h, "stage %q\n", s.Name)
		if s.Key != nil {
			fmt.Fprintf(h, "key %s %q\n", s.Key.target(s.Chip), s.Key.Policy)
		}
		if s.Compare != nil {
			fmt.Fprintf(h, "compare %s %q\n", s.Compare.target(s.Chip), s.Compare.Policy)
		}
		if s.Key != nil && s.Key.Beside != nil {
			fmt.Fprintf(h, "beside %s %q\n", s.Key.Beside.target(s.Chip), s.Key.Beside.Policy)
		}
		for _, set := range s.Sets {
			fmt.Fprintf(h, "set %s %#x\n", set.Field, set.Value)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// Wanted is what the stage makes a chip hold, in words: it is the same for
// every device.
func (s Stage) Wanted() []string {
	var out []string
	f := known(s.Chip)
	if s.Key != nil {
		out = append(out, s.Key.In(f)+" = "+s.Key.told(""))
	}
	if s.Compare != nil {
		out = append(out, s.Compare.In(f)+" compared with "+s.Compare.told(""))
	}
	for _, set := range s.Sets {
		for _, one := range set.each() {
			if one.isMask() {
				out = append(out, one.name(f))
			} else {
				out = append(out, one.text(f))
			}
		}
	}
	return out
}

// change is one line of a plan: what the ledger keeps, and why.
type change struct {
	record.FuseChange
	about string
}

func (s Stage) changes(have Image) []change {
	var out []change
	f := known(s.Chip)
	have.Family = cmp.Or(have.Family, f) // a zero image is a blank chip of the plan's family
	if m := have.Holds(s.Key); s.Key != nil && m != MatchWhole && m != MatchHidden {
		old := "empty"
		if m != MatchEmpty {
			old = "partly written"
		}
		out = append(out, change{record.FuseChange{Field: s.Key.In(f), Old: old, New: s.Key.told(s.Key.Check)},
			s.Key.about() + ", read back and compared"})
	}
	for _, set := range s.Sets {
		for _, one := range set.each() {
			if _, missing := one.in(f, have.Block0()); missing == 0 {
				continue
			}
			c := change{record.FuseChange{Field: one.name(f), Old: "0", New: "1"}, one.about(f)}
			if why := one.why(f); why != "" {
				c.about += "; " + why
			}
			if !one.isMask() {
				c.Old = fmt.Sprint(have.Value(one.Field))
				c.New = fmt.Sprint(one.Value)
			}
			out = append(out, c)
		}
	}
	return out
}

// told names the key to people, by its check value where there is one, and what is
// beside it.
func (k *Key) told(check string) string {
	name := k.title() + " (" + k.Policy + ")"
	if check != "" {
		name = k.title() + " " + check
	}
	if k.Beside != nil {
		name += " and " + k.Beside.told("")
	}
	return name
}

// about says what the key is for, and what is beside it.
func (k *Key) about() string {
	if k.Beside != nil {
		return abouts[k.For()] + " and " + k.Beside.about() + ", in one programming"
	}
	return abouts[k.For()]
}

// abouts says what keys are for.
var abouts = map[chip.Purpose]string{
	chip.FlashEncryption:    "the flash encryption key",
	chip.FlashEncryption1:   "one half of the flash encryption key",
	chip.FlashEncryption2:   "one half of the flash encryption key",
	chip.FlashEncryption128: "the flash encryption key, half as long",
	chip.SecureBootV1:       "the key of the bootloader's digest",
	chip.SecureBootV2:       "the digest of the public key that signs bootloader and apps",
	chip.SecureBootDigest:   "the digest of the public key that signs bootloader and apps",
	chip.SecureBootDigest0:  "the digest of a public key that signs bootloader and apps",
	chip.SecureBootDigest1:  "the digest of a public key that signs bootloader and apps",
	chip.SecureBootDigest2:  "the digest of a public key that signs bootloader and apps",
	chip.HMAC:               "the key for HMACs",
	chip.HMACUpdates:        "the key of which the chip makes the one that opens updates",
}

// Reads tells what can still be read of a block that the stage has hidden a part of; ""
// where it has hidden none, or all.
func (s Stage) Reads(have Image) string {
	k := s.Compare
	if k == nil || k.Beside == nil || have.StateOf(k.In(s.Chip)) != KeyHidden || !have.shows(k.Beside) {
		return ""
	}
	return fmt.Sprintf("%s: the %s is hidden, the rest reads as the %s", k.In(s.Chip), k.title(), k.Beside.told(""))
}

// Changes is what burning the stage changes in this chip, for ledger and
// screens. A key appears as its check value.
func (s Stage) Changes(have Image) []record.FuseChange {
	var out []record.FuseChange
	for _, c := range s.changes(have) {
		out = append(out, c.FuseChange)
	}
	return out
}

// Lines tells the changes in this chip in plain words, one line each. A zero
// image stands for a blank chip.
func (p Plan) Lines(have Image) []string {
	var lines []string
	for _, s := range p {
		for _, c := range s.changes(have) {
			lines = append(lines, fmt.Sprintf("%s: %s %s → %s: %s", s.Name, c.Field, c.Old, c.New, c.about))
		}
	}
	return lines
}

// String is the plan for a blank chip, one change a line.
func (p Plan) String() string { return strings.Join(p.Lines(Image{Family: p.family()}), "\n") }
