package efuse

import (
	"slices"

	"station/internal/chip"
)

// revision3 are the fuses that mean nothing, or something else, before v3.0.
var revision3 = []string{"UART_DOWNLOAD_DIS", "ABS_DONE_1"}

// Diff is what of the plan is left to burn in this chip; nothing is left when
// it is empty. A *RefusedError says everything that stands against it.
func (p Plan) Diff(have Image) (Plan, error) {
	d := differ{have: have, block0: have.Block0}
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
	block0 [7]uint32
	key    Match
}

// chip finds what this kind of chip, or its state, rules out altogether.
func (d *differ) chip(p Plan) {
	if d.have.Coding() == chip.CodingRepeat {
		d.add(ErrUnfit, "coding scheme 2 (repeat) is not supported")
	}
	if d.have.Value("RD_DIS")>>3&1 == 1 {
		d.add(ErrConflict, "RD_DIS bit 3 hides FLASH_CRYPT_CONFIG and CODING_SCHEME: nobody can check them")
	}
	var key *Key
	for _, s := range p {
		for _, k := range []*Key{s.Compare, s.Key} {
			if k != nil {
				key = k
				d.fits(k)
			}
		}
		for _, set := range s.Sets {
			if slices.Contains(revision3, set.Field) && set.Value != 0 && d.have.Revision().Major() < 3 {
				d.add(ErrUnfit, "%s exists from revision v3.0; this chip is %v", set.Field, d.have.Revision())
			}
			if (set.Field == "ABS_DONE_0" || set.Field == "ABS_DONE_1") && set.Value != 0 && d.have.emptyBlock2() {
				d.add(ErrConflict, "%s: BLOCK2 is empty, so the chip would accept no bootloader", set.Field)
			}
		}
	}
	d.key = d.have.Holds(key)
}

// fits checks the key itself against the chip's coding scheme.
func (d *differ) fits(k *Key) {
	if k.Secret == nil {
		return
	}
	want := d.have.Coding().KeyBytes()
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
		if _, missing := need.in(d.block0[:]); missing != 0 {
			d.add(ErrConflict, "stage %s needs %v first", s.Name, Set{need.Field, missing})
		}
	}
	if s.Key != nil && !d.burnKey(s) {
		s.Key = nil
	}
	if s.Compare != nil {
		d.compare(s)
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
	switch d.key {
	case MatchWhole:
		return false
	case MatchHidden:
		d.hidden(s.Key)
		return false
	case MatchForeign:
		d.add(ErrConflict, "BLOCK1 holds bits that are not of this device's key")
	}
	if frozen(d.have.Block0[0], byName["BLOCK1"]) {
		d.add(ErrConflict, "BLOCK1 is write-protected (WR_DIS bit 7) and does not hold the key")
	}
	d.key = MatchWhole
	return true
}

func (d *differ) compare(s Stage) {
	switch d.key {
	case MatchWhole:
	case MatchHidden:
		d.hidden(s.Compare)
	default:
		d.add(ErrKeyMismatch, "BLOCK1 does not read as the device's key, so stage %s must not hide it", s.Name)
	}
}

func (d *differ) hidden(k *Key) {
	if !k.Compared {
		d.add(ErrConflict, "BLOCK1 is already hidden (RD_DIS bit 0): nobody can tell which key it holds")
	}
}

// set returns what is left of a set: the missing bits of a mask, the whole
// value of a field that lacks any, or 0.
func (d *differ) set(set Set) Set {
	f, ok := byName[set.Field]
	if !ok || f.Block != 0 || f.Width > 32 {
		return Set{} // check has refused it
	}
	if !set.isMask() {
		if v := uint32(f.value(d.block0[:])); v&^set.Value != 0 {
			d.add(ErrConflict, "%s holds %d and cannot become %d: bits are never cleared", set.Field, v, set.Value)
		}
	}
	_, missing := set.in(d.block0[:])
	if missing == 0 {
		return Set{}
	}
	if frozen(d.have.Block0[0], f) {
		d.add(ErrConflict, "%s is write-protected (WR_DIS bit %d) and lacks %v", f.Name, f.WriteDisable, Set{f.Name, missing})
	}
	d.block0[f.Word] |= missing << f.Bit
	if set.isMask() {
		return Set{set.Field, missing}
	}
	return set
}

func (have Image) emptyBlock2() bool { return have.block2 == "" || have.block2 == string(KeyEmpty) }
