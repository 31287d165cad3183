package efuse

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

// The modes of every family with keys of every length, whole: burned, nothing left,
// classified, also when one half of a key is in place and the other is not.
func TestModesOfEveryFamily(t *testing.T) {
	for _, f := range chip.Families[1:] {
		for _, bits := range slices.Sorted(maps.Keys(f.Seal.FlashKeys)) {
			for mode, want := range map[Mode]StateName{Release: InRelease, Development: InDevelop} {
				t.Run(fmt.Sprintf("%s/%d/%s", f.Name, bits, mode), func(t *testing.T) {
					p := mustNew(t, Options{Chip: f, Mode: mode, KeyPolicy: "derived", KeyBits: bits})
					if w := p.Warnings(mode); len(w) != 0 {
						t.Errorf("%q", w)
					}
					c := newLater(t, f)
					if got := Classify(c.image(), nil); got.Name != Virgin {
						t.Errorf("a blank chip is %+v", got)
					}
					key := testKey(t, f.KeyBytes(f.FlashKeyParts(bits)[0], chip.CodingNone))
					c.burnHalves(p, key)
					if got := Classify(c.image(), nil); got.Name != want {
						t.Errorf("it is %+v", got)
					}
					if left, err := withParts(p, &Key{Compared: true}).Diff(c.image()); err != nil || len(left) != 0 {
						t.Errorf("left over %v, %v", left, err)
					}
					if _, err := mustNew(t, Options{Mode: Release}).Diff(c.image()); !errors.Is(err, ErrUnfit) {
						t.Errorf("a plan for the ESP32: %v", err)
					}
					for other := range f.Seal.FlashKeys {
						q := withParts(mustNew(t, Options{Chip: f, Mode: mode, KeyBits: other}), &Key{Compared: true})
						if _, err := q.Diff(c.image()); (err == nil) != (other == bits) {
							t.Errorf("a plan with a key of %d bits: %v", other, err)
						}
					}
				})
			}
		}
	}
	if _, err := New(Options{Chip: chip.ESP32C3, Mode: Release, KeyBits: 512}); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "takes no key of 512 bits") {
		t.Errorf("a key that the C3 does not take: %v", err)
	}
}

// withParts gives each part of a plan's key for flash encryption this key.
func withParts(p Plan, key *Key) Plan {
	for _, k := range p.Keys() {
		own := *key
		own.Purpose = k.Purpose
		p = p.WithKey(&own)
	}
	return p
}

// burnHalves burns the plan, and looks at the chip when one of two halves is in place.
func (c *later) burnHalves(p Plan, key *Key) {
	c.t.Helper()
	for _, stage := range withParts(p, key) {
		if err := c.burn(Plan{stage}); err != nil {
			c.t.Fatal(err)
		}
		if stage.Name != StageProtect || len(p.Keys()) == 1 {
			continue
		}
		if got := Classify(c.image(), nil); got.Name != HalfDone || got.Words != "BLOCK_KEY0 holds one half of a key, and no block says that it holds the other" {
			c.t.Errorf("with one half it is %+v", got)
		}
	}
}

// Secure boot of every family that has it: up to three digests in blocks of their
// own, readable; the place of every other one revoked; switched on after
// encryption; then nothing can be hidden, and the loader is closed last.
func TestSecureBootOfEveryFamily(t *testing.T) {
	for _, f := range chip.Families[1:] {
		boot := f.Seal.SecureBoot[2]
		shares := f.Seal.Keys[boot.Purpose].Hides != 0
		bits := chip.UsualKeyBits
		if shares {
			bits = 128
		}
		for n := 1; n <= len(boot.Purposes()); n++ {
			t.Run(fmt.Sprint(f.Name, " with ", n), func(t *testing.T) {
				o := &BootOptions{Version: 2}
				for i := range n {
					b := digestBytes()
					b[0] = byte(i)
					o.Keys = append(o.Keys, BootKey{fmt.Sprint("digest ", i), keyOf(t, b).Secret})
				}
				p := mustNew(t, Options{Chip: f, Mode: Release, KeyPolicy: "derived", KeyBits: bits, Boot: o})
				if w := p.Warnings(Release); len(w) != 0 {
					t.Errorf("%q", w)
				}
				var order []string
				for _, s := range p {
					order = append(order, s.Name)
				}
				end := []string{StageConfig, StageCount, StageBootOn, StageFreeze, StageUART}
				if keys := len(order) - len(end); !slices.Equal(order[keys:], end) || keys != 2*len(p.Keys()) || len(p.Keys()) == 1 != shares {
					t.Errorf("the order is %q", order)
				}
				for i, revoke := range boot.Revoke {
					if got := p.wants(revoke); (got == 1) != (i >= n) {
						t.Errorf("%s = %d", revoke, got)
					}
				}
				c := newLater(t, f)
				if err := c.burn(withFlashKey(p, testKey(t, bits/8))); err != nil {
					t.Fatal(err)
				}
				have := c.image()
				for i, k := range o.Keys {
					own := &Key{Purpose: boot.Purposes()[i], Secret: k.Digest}
					own.Block = have.Placed(own)
					if right := have.Holds(own) == MatchWhole || shares && have.shows(own); !right || !have.WriteDisabled(own.Block) {
						t.Errorf("digest %d in %s: %v", i, own.Block, have.Holds(own))
					}
				}
				if got := Classify(have, nil); got.Name != InRelease || !strings.Contains(got.Words, "secure boot version 2 is on, with the digest in BLOCK_KEY") {
					t.Errorf("it is %+v", got)
				}
				if left, err := withFlashKey(p, &Key{Compared: true}).Diff(have); err != nil || len(left) != 0 {
					t.Errorf("left over %v, %v", left, err)
				}
			})
		}
		_, err := New(Options{Chip: f, Mode: Release, Boot: &BootOptions{Version: 2, Keys: make([]BootKey, 4)}})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("secure boot with 4 keys, and the %s trusts 1 to %d", f.Title, f.Trusts(2))) {
			t.Errorf("%s, four keys: %v", f.Name, err)
		}
	}
}

// withFlashKey gives a plan its key for flash encryption, whatever length it is for.
func withFlashKey(p Plan, k *Key) Plan {
	k.Purpose = p.Keys()[0].Purpose
	return p.WithKey(k)
}

// Who says how the loader is closed says it alone; a place that is left open is
// warned of.
func TestHowALoaderIsClosed(t *testing.T) {
	boot := &BootOptions{Version: 2, Keys: []BootKey{{"d", keyOf(t, digestBytes()).Secret}}}
	f := chip.ByName("esp32c3")
	last := func(fuses map[string]uint32) Stage {
		p := mustNew(t, Options{Chip: f, Mode: Release, Boot: boot, Fuses: fuses})
		return p[len(p)-1]
	}
	for want, fuses := range map[string]map[string]uint32{
		"ENABLE_SECURITY_DOWNLOAD = 1": nil,
		"DIS_DOWNLOAD_MODE = 1":        {"DIS_DOWNLOAD_MODE": 1},
		"WR_DIS bit 0 (RD_DIS)":        {"ENABLE_SECURITY_DOWNLOAD": 0},
	} {
		if got := strings.Join(last(fuses).Wanted(), "; "); got != want {
			t.Errorf("%v: the last stage is %s, want %s", fuses, got, want)
		}
	}
	_, err := New(Options{Chip: f, Mode: Release, Boot: boot, Fuses: map[string]uint32{"DIS_DOWNLOAD_MODE": 1, "ENABLE_SECURITY_DOWNLOAD": 1}})
	if !errors.Is(err, ErrPlan) {
		t.Errorf("both: %v", err)
	}
	open := mustNew(t, Options{Chip: f, Mode: Release, Boot: boot, Fuses: map[string]uint32{"SECURE_BOOT_KEY_REVOKE2": 0}})
	if w := open.Warnings(Release); len(w) != 1 || !strings.Contains(w[0], "SECURE_BOOT_KEY_REVOKE2 is not burned") {
		t.Errorf("warned of %q", w)
	}
}

// Another crystal than those whose timing is known is an error, and burns nothing.
func TestUnknownCrystals(t *testing.T) {
	for _, f := range chip.Families[1:] {
		c := newLater(t, f)
		key := testKey(t, 32)
		_, err := Burn(t.Context(), c, 52, c.image(), Stage{Chip: f, Name: StageKey, Key: key})
		if !errors.Is(err, ErrUnfit) || c.writes > 0 || !strings.Contains(err.Error(), "52 MHz") {
			t.Errorf("%s: %v after %d program commands", f.Name, err, c.writes)
		}
		for _, mhz := range f.Crystals {
			if _, known := f.Efuse.Timing[mhz]; !known {
				t.Errorf("%s: no timing for its crystal of %d MHz", f.Name, mhz)
			}
		}
	}
}

// A stage is taken by its whole name: the first digest's is not the second's.
func TestStagesWithNumbers(t *testing.T) {
	boot := &BootOptions{Version: 2, Keys: []BootKey{{"a", keyOf(t, digestBytes()).Secret}, {"b", testKey(t, 32).Secret}}}
	p := mustNew(t, Options{Chip: chip.ByName("esp32c3"), Mode: Release, Boot: boot})
	if one, all := p.Only(StageBootKey), p.Of(StageBootKey); len(one) != 1 || len(all) != 2 || one[0].Name != StageBootKey {
		t.Errorf("%d and %d stages", len(one), len(all))
	}
}

// A block that says that it is for a key of the other length would be taken for the
// chip's key, empty or not: nothing is burned beside it.
func TestBlockForAKeyOfTheOtherLength(t *testing.T) {
	f := chip.ESP32S3
	for bits, purpose := range map[int]uint32{256: 3, 512: 4} {
		have := newLater(t, f).image().With(Stage{Sets: []Set{{"KEY_PURPOSE_4", purpose}}})
		_, err := mustNew(t, Options{Chip: f, Mode: Release, KeyBits: bits}).Diff(have)
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "BLOCK_KEY4 says that it is for flash-encryption") {
			t.Errorf("%d bits: %v", bits, err)
		}
	}
}
