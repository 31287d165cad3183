package efuse

import (
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/secret"
)

// Options are what a job says about fuses.
type Options struct {
	Chip      *chip.Family // nil is the ESP32
	Mode      Mode
	KeyPolicy string // public, goes into the digest: "derived", "shared fleet-7"
	KeyBits   int    // of the key for flash encryption; 0 is what is usual
	// Fuses are the job's own values by name (see ParseSet), in place of the
	// mode's. A 0 takes a fuse out of the plan.
	Fuses map[string]uint32
	// Weak accepts a FLASH_CRYPT_CONFIG other than 15.
	Weak bool
	// Plain leaves the flash as it is: no key for it, and none of its fuses.
	Plain bool
	// Boot is what secure boot needs; nil for none.
	Boot *BootOptions
	// HMAC are the keys that firmware has HMACs computed with.
	HMAC []HMACKey
}

// HMACKey is a key for HMACs, and the block that the firmware names.
type HMACKey struct {
	Purpose       chip.Purpose
	Block, Policy string // the policy is public and goes into the digest of the plan
}

// hmacKeys are the keys for HMACs, none where the job has none.
func (o Options) hmacKeys() (keys []*Key) {
	for _, k := range o.HMAC {
		keys = append(keys, &Key{Purpose: k.Purpose, Block: k.Block, Policy: k.Policy})
	}
	return keys
}

// BootOptions are what a job says about secure boot.
type BootOptions struct {
	Version int
	Kind    chip.SigningKey // of the keys, with version 2
	Keys    []BootKey       // that the chip trusts, at least one
}

// BootKey is what one block of secure boot holds.
type BootKey struct {
	// Policy is public and goes into the digest of the plan: of version 1 where the
	// key comes from, of version 2 the digest itself.
	Policy string
	// Digest is that of a public key with version 2; nil with version 1.
	Digest *secret.Bytes
}

// bootKeys are what goes into the blocks of secure boot, none where the job has
// none.
func (o Options) bootKeys(r *refusal) []*Key {
	if o.Boot == nil {
		return nil
	}
	use, ok := o.Chip.Seal.SecureBoot[o.Boot.Version]
	if !ok {
		r.add(ErrPlan, "the %s has no secure boot version %d", o.Chip.Title, o.Boot.Version)
		return nil
	}
	trusts := use.Purposes()
	if n := len(o.Boot.Keys); n == 0 || n > len(trusts) {
		r.add(ErrPlan, "secure boot with %d keys, and the %s trusts 1 to %d", n, o.Chip.Title, len(trusts))
		return nil
	}
	var keys []*Key
	for i, k := range o.Boot.Keys {
		keys = append(keys, &Key{Purpose: trusts[i], Policy: k.Policy, Secret: k.Digest})
	}
	return keys
}

// share puts a digest of secure boot that goes into the block of the key for flash
// encryption beside that key: the block is programmed once. It returns the digests that
// have blocks of their own.
func (o Options) share(r *refusal, flash, boot []*Key) []*Key {
	if len(flash) == 0 || len(boot) == 0 || o.Chip.Seal.Keys[boot[0].For()].Hides == 0 {
		return boot
	}
	if o.Chip.Seal.Keys[flash[0].For()].Hides == 0 {
		r.add(ErrPlan, "a key of %d bits for flash encryption fills %s, and leaves no room for the digest of secure boot: take one of 128 (bits = 128 under [key])", chip.UsualKeyBits, flash[0].In(o.Chip))
	}
	flash[0].Beside = boot[0]
	return nil
}

// needDigest refuses secure boot that is switched on without a digest, where no fuse says
// what the block beside it holds.
func (o Options) needDigest(r *refusal, wanted []Set) {
	for _, boot := range o.Chip.Seal.SecureBoot {
		on := slices.ContainsFunc(wanted, func(s Set) bool { return s.Field == boot.On && s.Value != 0 })
		if on && o.Boot == nil && o.Chip.Seal.Keys[boot.Purpose].Hides != 0 {
			r.add(ErrPlan, "%s needs the digest of a key, and the plan burns none", boot.On)
		}
	}
}

// protectionOf is the stage that protects what another burns.
var protectionOf = map[string]string{StageKey: StageProtect, StageBootKey: StageBootProtect, StageHMACKey: StageHMACProtect}

// flashKeys are the parts of the key for flash encryption, none where the job has none.
func (o Options) flashKeys(r *refusal) (keys []*Key) {
	if o.Plain {
		return nil
	}
	parts := o.Chip.FlashKeyParts(o.KeyBits)
	if parts == nil {
		r.add(ErrPlan, "the %s takes no key of %d bits for flash encryption", o.Chip.Title, o.KeyBits)
	}
	for _, part := range parts {
		k := &Key{Policy: o.KeyPolicy}
		if part != chip.FlashEncryption {
			k.Purpose = part
		}
		keys = append(keys, k)
	}
	return keys
}

// place gives each key the first block that is not another's. A named one has its own.
func (r *refusal) place(f *chip.Family, keys ...*Key) {
	var taken []string
	for _, k := range keys {
		if k.Named(f) {
			if slices.Contains(taken, k.Block) {
				r.add(ErrPlan, "%s is for two keys: one block holds one", k.Block)
			}
			taken = append(taken, k.Block)
		}
	}
	for _, k := range keys {
		if k.Named(f) {
			continue
		}
		left := slices.DeleteFunc(slices.Clone(f.Seal.Keys[k.For()].Blocks), func(name string) bool { return slices.Contains(taken, name) })
		if len(left) == 0 {
			r.add(ErrPlan, "no block of the %s is left for the key for %s", f.Title, k.For())
			continue
		}
		k.Block, taken = left[0], append(taken, left[0])
	}
}

// New makes the plan of a job's devices. A *RefusedError has every reason
// against it.
func New(o Options) (Plan, error) {
	var r refusal
	o.Chip = known(o.Chip)
	wanted := o.wanted(&r)
	flash, boot, hmac := o.flashKeys(&r), o.bootKeys(&r), o.hmacKeys()
	boot = o.share(&r, flash, boot)
	o.needDigest(&r, wanted)
	if len(boot) > 0 || len(flash) > 1 || len(hmac) > 0 {
		r.place(o.Chip, slices.Concat(flash, boot, hmac)...)
	}
	var p Plan
	var needs []Set
	for _, name := range stagesWith(len(flash), len(boot), len(hmac)) {
		s := Stage{Chip: o.Chip, Name: name, Needs: slices.Clone(needs)}
		stem, n := ofStage(name)
		for key, keys := range map[string][]*Key{StageKey: flash, StageBootKey: boot, StageHMACKey: hmac} {
			switch {
			case n >= len(keys):
			case stem == key:
				s.Key = keys[n]
			case stem == protectionOf[key]:
				s.Compare, s.Sets = keys[n], protects(o.Chip, keys[n])
			}
		}
		for _, set := range wanted {
			if stage, ok := stageOf(o.Chip, set); stage == name || !ok && name == StageConfig {
				s.add(set)
			}
		}
		if s.Key != nil || len(s.Sets) > 0 {
			p = append(p, s)
		}
		needs = append(needs, s.Sets...)
	}
	p.check(&r)
	if err := r.err(); err != nil {
		return nil, err
	}
	return p, nil
}

// wanted is the mode's fuses with the job's in their place, in the order of
// rank; the bits of masks one by one.
func (o Options) wanted(r *refusal) []Set {
	base, ok := defaults(o.Chip, o.Mode)
	if !ok {
		r.add(ErrPlan, "mode %q is neither release nor development", o.Mode)
	}
	if o.Plain {
		base = slices.DeleteFunc(slices.Clone(base), func(v chip.Value) bool { return ofEncryption(o.Chip, v.Field) })
	}
	want := map[string]Set{}
	base = slices.Concat(base, o.bootFuses())
	if o.closesItself() {
		base = slices.DeleteFunc(base, func(v chip.Value) bool { return o.Chip.Seal.Burnable[v.Field] == StageUART })
	}
	for _, v := range base {
		for _, one := range (Set{v.Field, v.Value}).each() {
			want[one.name(o.Chip)] = one
		}
	}
	for name, value := range o.Fuses {
		o.override(r, want, name, value)
	}
	var sets []Set
	for _, set := range want {
		sets = append(sets, set)
	}
	slices.SortFunc(sets, func(a, b Set) int { return rank(o.Chip, a) - rank(o.Chip, b) })
	return sets
}

// closesItself reports a job that says by which fuse the serial loader is closed:
// one is burned, alone.
func (o Options) closesItself() bool {
	for name, value := range o.Fuses {
		if value != 0 && o.Chip.Seal.Burnable[name] == StageUART {
			return true
		}
	}
	return false
}

// bootFuses are the fuses that secure boot needs, besides its keys'. A place for the
// digest of a key that the job does not fill is closed for ever.
func (o Options) bootFuses() []chip.Value {
	if o.Boot == nil {
		return nil
	}
	use, ok := o.Chip.Seal.SecureBoot[o.Boot.Version]
	if !ok {
		return nil
	}
	list := append([]chip.Value{{Field: use.On, Value: 1}}, use.Always...)
	list = append(list, use.With[o.Boot.Kind]...)
	for n := len(o.Boot.Keys); n < len(use.Revoke); n++ {
		list = append(list, chip.Value{Field: use.Revoke[n], Value: 1})
	}
	if o.Mode == Release {
		list = append(list, use.Release...)
	}
	return list
}

func (o Options) override(r *refusal, want map[string]Set, name string, value uint32) {
	set, err := ParseSet(o.Chip, name, value)
	if err != nil {
		r.add(ErrPlan, "%v", err)
		return
	}
	if set.isMask() && !strings.Contains(name, ".") {
		r.add(ErrPlan, "fuse %s: name its bits one by one, such as %s.BLOCK1", name, name)
		return
	}
	if set.Field == "RD_DIS" && value == 1 && set.Value != hides(o.Chip, &Key{}) {
		r.add(ErrPlan, "%s is never burned", set.text(o.Chip))
		return
	}
	if set.isMask() && value == 0 {
		off, _ := ParseSet(o.Chip, name, 1)
		if stage, _ := stageOf(o.Chip, off); stage == StageProtect {
			r.add(ErrPlan, "%s: the key's protections are not optional", off.text(o.Chip))
		}
		delete(want, off.name(o.Chip))
		return
	}
	if o.Plain && ofEncryption(o.Chip, set.Field) {
		r.add(ErrPlan, "%s is a fuse of flash encryption, which this job leaves off", set.Field)
		return
	}
	right := slices.IndexFunc(o.Chip.Seal.Right, func(v chip.Value) bool { return v.Field == set.Field })
	switch {
	case right >= 0:
		if set.Value != o.Chip.Seal.Right[right].Value && !o.Weak {
			r.add(ErrPlan, "%s = %d weakens the encryption; the job must say that it wants that", set.Field, set.Value)
		}
		want[set.Field] = set // 0 stays in the plan: the chip must hold just that
	case set.Field != o.Chip.Seal.Count && value == 0:
		delete(want, set.Field)
	default:
		for _, one := range set.each() {
			want[one.name(o.Chip)] = one
		}
	}
}
