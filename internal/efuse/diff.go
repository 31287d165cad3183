package efuse

import (
	"slices"
	"strings"

	"station/internal/chip"
)

// Diff is what of the plan is left to burn in this chip; nothing is left when
// it is empty. A *RefusedError says everything that stands against it.
func (p Plan) Diff(have Image) (Plan, error) {
	d := differ{have: have, family: known(have.Family), block0: slices.Clone(have.Block0()), keys: map[int]Match{}}
	p.check(&d.refusal)
	d.chip(p)
	var left Plan
	for _, s := range p {
		if rest := d.stage(s); rest.Key != nil || len(rest.Sets) > 0 {
			left = append(left, rest)
		}
	}
	if err := d.err(); err != nil {
		return nil, err
	}
	return left, nil
}

// differ walks through a plan's stages and keeps what the chip will hold then.
type differ struct {
	refusal
	have   Image
	family *chip.Family
	block0 []uint32
	keys   map[int]Match // by block
	plan   Plan
}

// plans reports that the plan burns a key into the block.
func (d *differ) plans(block string) bool {
	return slices.ContainsFunc(d.plan, func(s Stage) bool { return s.Key != nil && s.Key.In(d.family) == block })
}

// chip finds what this kind of chip, or its state, rules out altogether.
func (d *differ) chip(p Plan) {
	d.plan = p
	if len(p) > 0 && p.family() != d.family {
		d.add(ErrUnfit, "the plan is for the %s; this chip is an %s", p.family().Title, d.family.Title)
		return
	}
	if d.have.Coding() == chip.CodingRepeat {
		d.add(ErrUnfit, "coding scheme 2 (repeat) is not supported")
	}
	d.unseen()
	d.strangers(p)
	for _, s := range p {
		for _, k := range []*Key{s.Compare, s.Key} {
			if k != nil {
				d.fits(k)
				if k.Beside != nil {
					d.fits(k.Beside)
				}
				d.keys[d.family.Efuse.Block(k.In(d.family))] = d.have.Holds(k)
			}
		}
		for _, set := range s.Sets {
			d.meaning(set)
		}
	}
}

// unseen refuses a chip whose fields in BLOCK0 are hidden.
func (d *differ) unseen() {
	for _, right := range d.family.Seal.Right {
		f, _ := d.family.Efuse.Field(right.Field)
		if f.ReadDisable >= 0 && d.have.Value("RD_DIS")>>f.ReadDisable&1 == 1 {
			d.add(ErrConflict, "RD_DIS bit %d hides %s: nobody can check them", f.ReadDisable, strings.Join(covered(d.family, "RD_DIS", f.ReadDisable), ", "))
		}
	}
}

// strangers refuses a chip that would trust somebody else: a block that says it is
// for what the plan's keys are for, or for a digest of secure boot, and is none of
// the plan's; and one that trusts a key of the plan no more.
func (d *differ) strangers(p Plan) {
	for _, b := range d.family.Efuse.Blocks {
		says := uint32(d.have.Value(b.Purpose))
		for purpose, use := range d.family.Seal.Keys {
			own := slices.ContainsFunc(p.Keys(), func(k *Key) bool { return k.For() == purpose && k.In(d.family) == b.Name })
			if b.Purpose != "" && says == use.Value && !own && slices.Contains(p.claims(), purpose) {
				d.add(ErrConflict, "%s says that it is for %s, and is not of this job", b.Name, purpose)
			}
		}
	}
	for _, boot := range d.family.Seal.SecureBoot {
		for n, revoke := range boot.Revoke {
			if p.burns(boot.Purposes()[n]) && d.have.Value(revoke) != 0 {
				d.add(ErrConflict, "%s is burned: the chip does not trust the key for %s", revoke, boot.Purposes()[n])
			}
		}
	}
}

// claims are the purposes for which no block may be but the plan's own: those of its
// keys, those of a key for flash encryption of another length, and in a whole plan
// with secure boot all of that. A named one claims none: firmware asks for its block
// alone, whatever another one says.
func (p Plan) claims() (list []chip.Purpose) {
	for _, k := range p.Keys() {
		if k.Named(p.family()) {
			continue
		}
		list = append(list, k.For())
		for _, parts := range p.family().Seal.FlashKeys {
			if p.family().WholeOf(k.For()) == chip.FlashEncryption && !slices.Contains(parts, k.For()) {
				list = append(list, parts...)
			}
		}
	}
	for _, boot := range p.family().Seal.SecureBoot {
		if p.wants(boot.On) != 0 && p.burns(boot.Purpose) {
			list = append(list, boot.Purposes()...)
		}
	}
	return list
}

// meaning refuses fuses that mean nothing or harm in this chip.
func (d *differ) meaning(set Set) {
	since, late := d.family.Seal.Since[set.Field]
	if late && set.Value != 0 && d.have.Revision() < since {
		d.add(ErrUnfit, "%s exists from revision %v; this chip is %v", set.Field, since, d.have.Revision())
	}
	until, old := d.family.Seal.Until[set.Field]
	if old && set.Value != 0 && d.have.Revision() >= until {
		d.add(ErrUnfit, "%s is for chips before revision %v, and this one is %v: it has secure boot version 2 instead", set.Field, until, d.have.Revision())
	}
	block, needs := d.family.Seal.NeedsDigest[set.Field]
	if needs && set.Value != 0 && d.empty(set, block) && !d.plans(block) {
		d.add(ErrConflict, "%s: %s holds nothing to check with, so the chip would accept no bootloader", set.Field, block)
	}
}

// empty reports that the chip holds nothing in the block that the fuse needs, or in the
// part of it that secure boot has.
func (d *differ) empty(set Set, block string) bool {
	for _, boot := range d.family.Seal.SecureBoot {
		if boot.On == set.Field {
			return d.have.StateOfKey(&Key{Purpose: boot.Purpose, Block: block}) == KeyEmpty
		}
	}
	return d.have.StateOf(block) == KeyEmpty
}

// fits checks the key itself against the chip's coding scheme.
func (d *differ) fits(k *Key) {
	use, known := d.family.Seal.Keys[k.For()]
	if !known || !slices.Contains(use.Blocks, k.In(d.family)) {
		d.add(ErrPlan, "%s of the %s takes no key for %s", k.In(d.family), d.family.Title, k.For())
		return
	}
	if use.Bytes == 32 && d.have.Coding() == chip.Coding34 {
		d.add(ErrUnfit, "%s takes 32 bytes, and under coding scheme %v a block has room for 24", k.For(), d.have.Coding())
	}
	if k.Secret == nil {
		return
	}
	want := d.family.KeyBytes(k.For(), d.have.Coding())
	switch {
	case k.Secret.Len() == 0:
		d.add(ErrPlan, "the key is already destroyed")
	case want != 0 && k.Secret.Len() != want:
		d.add(ErrUnfit, "a key of %d bytes does not fit coding scheme %v, which takes %d",
			k.Secret.Len(), d.have.Coding(), want)
	case allZero(k.Secret.Reveal()):
		d.add(ErrPlan, "the key is all zero")
	}
}

// stage returns what is left of it.
func (d *differ) stage(s Stage) Stage {
	for _, need := range s.Needs {
		if _, missing := need.in(d.family, d.block0); missing != 0 {
			d.add(ErrConflict, "stage %s needs %s first", s.Name, Set{need.Field, missing}.text(d.family))
		}
	}
	if s.Key != nil && !d.burnKey(s) {
		s.Key = nil
	}
	if s.Compare != nil {
		d.compare(s)
	}
	for _, block := range s.Torn {
		if !d.have.Torn(block) && d.have.StateOf(block) != KeyHidden {
			d.add(ErrConflict, "%s is not half burned, so stage %s must not hide it", block, s.Name)
		}
	}
	var sets []Set
	for _, set := range s.Sets {
		if left := d.set(set); left.Value != 0 {
			sets = append(sets, left)
		}
	}
	s.Sets = sets
	return s
}

// burnKey reports whether the key is still to be burned.
func (d *differ) burnKey(s Stage) bool {
	block := d.family.Efuse.Block(s.Key.In(d.family))
	if block < 0 {
		return false // fits has refused it
	}
	b := d.family.Efuse.Blocks[block]
	switch d.keys[block] {
	case MatchWhole:
		return false
	case MatchHidden:
		d.hidden(s.Key)
		return false
	case MatchForeign:
		d.add(ErrConflict, "%s holds bits that are not of this device's key", b.Name)
	case MatchPart:
		if b.Coding == chip.ReedSolomon {
			d.add(ErrTorn, "%s holds something else than this device's key, and can be programmed once only", b.Name)
		}
	}
	if d.have.Value("WR_DIS")>>b.WriteDisable&1 == 1 {
		d.add(ErrConflict, "%s is write-protected (WR_DIS bit %d) and does not hold the key", b.Name, b.WriteDisable)
	}
	d.keys[block] = MatchWhole
	return true
}

func (d *differ) compare(s Stage) {
	block := s.Compare.In(d.family)
	switch d.keys[d.family.Efuse.Block(block)] {
	case MatchWhole:
	case MatchHidden:
		d.hidden(s.Compare)
		for _, v := range d.family.Seal.Keys[s.Compare.For()].With { // they come before it is hidden
			if now := uint32(d.have.Value(v.Field)); now != v.Value {
				d.add(ErrConflict, "%s is hidden, and %s is %d: it holds a key of another length", block, v.Field, now)
			}
		}
	default:
		d.add(ErrKeyMismatch, "%s does not read as the device's key, so stage %s must not hide it", block, s.Name)
	}
}

func (d *differ) hidden(k *Key) {
	if !k.Compared {
		block := k.In(d.family)
		d.add(ErrConflict, "%s is already hidden (RD_DIS bit %d): nobody can tell which key it holds", block, d.family.Efuse.Blocks[d.family.Efuse.Block(block)].ReadDisable)
	}
}

// set returns what is left of a set: the missing bits of a mask, the whole
// value of a field that lacks any, or 0.
func (d *differ) set(set Set) Set {
	f, ok := d.family.Efuse.Field(set.Field)
	if !ok || f.Block != 0 || f.Width > 32 {
		return Set{} // check has refused it
	}
	if !set.isMask() {
		if v := uint32(value(f, d.block0)); v&^set.Value != 0 {
			d.add(ErrConflict, "%s holds %d and cannot become %d: bits are never cleared", set.Field, v, set.Value)
		}
	}
	_, missing := set.in(d.family, d.block0)
	if missing == 0 {
		return Set{}
	}
	if frozen(d.have.Block0(), &d.family.Efuse, f) {
		d.add(ErrConflict, "%s is write-protected (WR_DIS bit %d) and lacks %s", f.Name, f.WriteDisable, Set{f.Name, missing}.text(d.family))
	}
	put(f, d.block0, missing)
	if set.isMask() {
		return Set{set.Field, missing}
	}
	return set
}
