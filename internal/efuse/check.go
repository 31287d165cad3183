package efuse

import (
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"station/internal/chip"
)

// What can be wrong with a plan, or between a plan and a chip.
var (
	// ErrPlan: the plan itself would damage any chip. A fault of the job.
	ErrPlan = errors.New("the fuse plan is not safe")
	// ErrUnfit: this kind of chip cannot take the plan. Nothing was burned.
	ErrUnfit = errors.New("the chip cannot take this fuse plan")
	// ErrConflict: the chip holds bits that the plan would have to clear, or
	// protections in its way. No retry can help.
	ErrConflict = errors.New("the chip holds other fuses than the plan allows")
	// ErrKeyMismatch: a key block is not the key that it must be.
	ErrKeyMismatch = errors.New("the key block does not hold the device's key")
)

// RefusedError carries every reason against a plan. It is each of the
// sentinels that its reasons belong to.
type RefusedError struct {
	Reasons []string
	kinds   []error
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%v: %s", e.kinds[0], strings.Join(e.Reasons, "; "))
}

// Unwrap gives the sentinels.
func (e *RefusedError) Unwrap() []error { return e.kinds }

// refusal collects reasons.
type refusal RefusedError

func (r *refusal) add(kind error, format string, args ...any) {
	reason := fmt.Sprintf(format, args...)
	if slices.Contains(r.Reasons, reason) {
		return
	}
	r.Reasons = append(r.Reasons, reason)
	if !slices.Contains(r.kinds, kind) {
		r.kinds = append(r.kinds, kind)
	}
}

func (r *refusal) err() error {
	if len(r.Reasons) == 0 {
		return nil
	}
	return (*RefusedError)(r)
}

// mismatch names the block of ErrKeyMismatch.
func mismatch(f *chip.Family, block int) error {
	return fmt.Errorf("%w (%s)", ErrKeyMismatch, f.Efuse.Blocks[block].Name)
}

// position orders what is burned: by stage, and within a stage as Burn does it.
type position struct{ stage, phase int }

func (p position) before(q position) bool {
	return p.stage < q.stage || p.stage == q.stage && p.phase < q.phase
}

// The phases of one stage. BLOCK0 is burned twice: values first, then what
// protects or switches on.
const (
	phaseKey = iota
	phaseValues
	phaseProtect
)

func phase(f *chip.Family, field string) int {
	if slices.Contains(f.Seal.Late, field) {
		return phaseProtect
	}
	return phaseValues
}

// family is the family that the plan's stages are for.
func (p Plan) family() *chip.Family {
	if len(p) == 0 {
		return known(nil)
	}
	return known(p[0].Chip)
}

// check finds what would make the plan dangerous on any chip.
func (p Plan) check(r *refusal) {
	for i, s := range p {
		for _, set := range s.Sets {
			p.checkSet(r, i, set)
		}
	}
	p.checkOrder(r)
}

func (p Plan) checkSet(r *refusal, i int, set Set) {
	s, chip := p[i], p.family()
	f, _ := chip.Efuse.Field(set.Field)
	stage, ok := stageOf(chip, set)
	ok = ok || s.ofOwnKey(chip, set)
	alone := len(s.Sets) == 1 && s.Key == nil
	switch {
	case f.Name == "":
		r.add(ErrPlan, "%s: the %s has no such field", set.Field, chip.Title)
	case set.isMask() && !ok:
		r.add(ErrPlan, "%s is never burned", set.text(chip))
	case !ok:
		reason := chip.Seal.Never[set.Field]
		if reason == "" {
			reason = "it has no part in sealing a device"
		}
		r.add(ErrPlan, "%s is never burned: %s", set.Field, reason)
	case set.Value>>f.Width != 0:
		r.add(ErrPlan, "%s: %d does not fit into %d bits", set.Field, set.Value, f.Width)
	case set.Field == "RD_DIS" && s.Compare == nil && s.Torn == nil:
		r.add(ErrPlan, "%s needs the key to compare its block with in stage %s", set.text(chip), s.Name)
	case set.Field == "RD_DIS" && set.Value&^(hides(chip, s.Compare)|s.hidesTorn()) != 0: // a cut burn may have left one bit of two
		r.add(ErrPlan, "%s: stage %s hides the block of its own key only", set.text(chip), s.Name)
	case stage == StageBootOn && (!alone || !s.guarded(set)):
		r.add(ErrPlan, "%s must be burned alone, after the block of secure boot is written and protected", set.Field)
	case set.Field == chip.Seal.Count && !odd(set.Value):
		r.add(ErrPlan, "%s = %d leaves encryption off: an odd number of bits switches it on", set.Field, set.Value)
	case p.revokes(set):
		r.add(ErrPlan, "%s takes back the trust in a key of the job", set.Field)
	case stage == StageCount && !alone:
		r.add(ErrPlan, "%s must be burned alone, not with others in stage %s", set.Field, s.Name)
	case stage == StageUART && (!alone || i != len(p)-1):
		r.add(ErrPlan, "%s must be burned last and alone: nothing can follow it", set.Field)
	}
}

// revokes reports a set that makes a digest worthless which the plan burns.
func (p Plan) revokes(set Set) bool {
	for _, boot := range p.family().Seal.SecureBoot {
		if n := slices.Index(boot.Revoke, set.Field); n >= 0 && set.Value != 0 && p.burns(boot.Purposes()[n]) {
			return true
		}
	}
	return false
}

// ofOwnKey reports a set that says what the stage's own key is for, or hides
// nothing but that key's block.
func (s Stage) ofOwnKey(f *chip.Family, set Set) bool {
	if s.Compare == nil {
		return false
	}
	return slices.Contains(protects(f, s.Compare), set)
}

// hidesTorn are the bits of RD_DIS of the blocks that cut burns have left.
func (s Stage) hidesTorn() (mask uint32) {
	for _, block := range s.Torn {
		for _, set := range sealsTorn(known(s.Chip), block) {
			if set.Field == "RD_DIS" {
				mask |= set.Value
			}
		}
	}
	return mask
}

// guarded reports that the stage waits until the block that the fuse needs is
// frozen, and hidden if it is for a key.
func (s Stage) guarded(set Set) bool {
	f := known(s.Chip)
	i := f.Efuse.Block(f.Seal.NeedsDigest[set.Field])
	if i < 0 {
		return f.Seal.NeedsDigest[set.Field] == "" && s.hasDigest(set)
	}
	needs := map[string]uint32{"WR_DIS": 1 << f.Efuse.Blocks[i].WriteDisable}
	for _, boot := range f.Seal.SecureBoot {
		if boot.On == set.Field && f.Seal.Keys[boot.Purpose].Hidden {
			needs["RD_DIS"] = 1 << f.Efuse.Blocks[i].ReadDisable
		}
	}
	for field, bits := range needs {
		if !slices.ContainsFunc(s.Needs, func(n Set) bool { return n.Field == field && n.Value&bits == bits }) {
			return false
		}
	}
	return true
}

// hasDigest reports that the stage waits until a block says that it holds a
// digest, on a chip whose blocks say what they are for.
func (s Stage) hasDigest(set Set) bool {
	f := known(s.Chip)
	for _, boot := range f.Seal.SecureBoot {
		use := f.Seal.Keys[boot.Purpose]
		for _, name := range use.Blocks {
			purpose := f.Efuse.Blocks[f.Efuse.Block(name)].Purpose
			if boot.On == set.Field && slices.Contains(s.Needs, Set{purpose, use.Value}) {
				return true
			}
		}
	}
	return false
}

// checkOrder finds write protections that come before what they freeze. Within
// one phase all bits change at once, and a power cut may leave any of them.
func (p Plan) checkOrder(r *refusal) {
	for i, s := range p {
		for _, set := range s.Sets {
			if set.Field != "WR_DIS" {
				continue
			}
			for _, one := range set.each() {
				p.checkFreeze(r, one, position{i, phaseProtect})
			}
		}
	}
}

func (p Plan) checkFreeze(r *refusal, lock Set, at position) {
	f := p.family()
	bit := bits.TrailingZeros32(lock.Value)
	for j, s := range p[at.stage:] {
		if s.Key != nil && !(position{at.stage + j, phaseKey}).before(at) {
			if b := f.Efuse.Block(s.Key.In(f)); b >= 0 && f.Efuse.Blocks[b].WriteDisable == bit {
				r.add(ErrPlan, "WR_DIS bit %d in stage %s would freeze %s before its key is burned", bit, p[at.stage].Name, f.Efuse.Blocks[b].Name)
			}
		}
		for _, set := range s.Sets {
			for _, one := range set.each() {
				if field, _ := f.Efuse.Field(one.Field); one == lock || one.Value == 0 || field.WriteDisable != bit ||
					(position{at.stage + j, phase(f, one.Field)}).before(at) {
					continue
				}
				r.add(ErrPlan, "WR_DIS bit %d in stage %s would freeze %s, which stage %s still has to burn",
					bit, p[at.stage].Name, one.name(f), s.Name)
			}
		}
	}
}

func odd(v uint32) bool { return bits.OnesCount32(v)%2 == 1 }
