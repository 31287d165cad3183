package efuse

import (
	"fmt"
	"maps"
	"slices"

	"station/internal/chip"
)

// bootState is what the fuses say of secure boot.
type bootState struct {
	on    int    // the version that is on; 0 for none
	holds string // the block that holds its key or digest; "" for none
	what  string // "key" or "digest", where secure boot is on
	lacks string // what is missing of a version that is on, in words
}

// bootOf reads it. Where several versions are on, the newest decides.
func bootOf(have Image) (b bootState) {
	f := known(have.Family)
	for _, version := range slices.Backward(slices.Sorted(maps.Keys(f.Seal.SecureBoot))) {
		use := f.Seal.SecureBoot[version]
		k := &Key{Purpose: use.Purpose}
		k.Block = have.Placed(k)
		if k.Block != "" && have.holdsBoot(k) {
			b.holds = k.Block
		}
		if have.Value(use.On) == 0 {
			continue
		}
		b.on, b.what, b.lacks = version, "digest", have.bootLacks(k, use)
		if f.Seal.Keys[use.Purpose].Hidden {
			b.what = "key"
		}
		return b
	}
	return b
}

// holdsBoot reports that a block holds what secure boot needs. Where it shares its block
// with the key for flash encryption, nobody can tell before that is hidden: half of a
// longer key looks like a digest.
func (have Image) holdsBoot(k *Key) bool {
	state := have.StateOfKey(k)
	if known(have.Family).Seal.Keys[k.For()].Hides == 0 {
		return state != KeyEmpty
	}
	return state == KeyWritten && have.besideNothing(k)
}

// bootLacks is what a version that is on needs and the chip has not.
func (have Image) bootLacks(k *Key, use chip.SecureBoot) string {
	f := known(have.Family)
	if k.Block == "" || have.StateOfKey(k) == KeyEmpty {
		return "no block holds what it checks with: the chip starts nothing"
	}
	if have.StateOfKey(k) == KeyHidden && !f.Seal.Keys[use.Purpose].Hidden {
		return k.Block + " is hidden, so that nothing can be checked with it: the chip starts nothing"
	}
	for _, set := range protects(f, k) {
		if _, missing := set.in(f, have.Block0()); missing != 0 {
			return Set{set.Field, missing}.text(f) + " is missing"
		}
	}
	return ""
}

// words tell people; "" where there is nothing to tell.
func (b bootState) words() string {
	switch {
	case b.on == 0 && b.holds == "":
		return ""
	case b.on == 0:
		return b.holds + " holds a key or digest of secure boot, which is off"
	case b.lacks != "":
		return fmt.Sprintf("secure boot version %d is on, but %s", b.on, b.lacks)
	}
	return fmt.Sprintf("secure boot version %d is on, with the %s in %s", b.on, b.what, b.holds)
}
