package efuse

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

// besideOptions are those of a C2 with secure boot.
func besideOptions(t *testing.T, o Options) Options {
	t.Helper()
	o.Chip, o.Mode = chip.ESP32C2, Release
	o.Boot = &BootOptions{Version: 2, Kind: chip.P256, Keys: []BootKey{{"the digest", keyOf(t, digestBytes()).Secret}}}
	return o
}

// besidePlan is the plan of that, for one device.
func besidePlan(t *testing.T, o Options) (Plan, *Key) {
	t.Helper()
	p := mustNew(t, besideOptions(t, o))
	key := testKey(t, 16)
	if o.Plain {
		return p, nil
	}
	return withFlashKey(p, key), key
}

// Key and digest share the one key block of a C2: one programming burns both halves, and
// the digest stays readable when the key is hidden. What is not just these two is
// refused, before and after.
func TestDigestBesideTheKey(t *testing.T) {
	f := chip.ESP32C2
	p, key := besidePlan(t, Options{KeyPolicy: "derived", KeyBits: 128})
	if lines := mustNew(t, besideOptions(t, Options{KeyPolicy: "derived", KeyBits: 128})).String(); !strings.HasPrefix(lines, "key: BLOCK_KEY0 empty → device key (derived) and secure boot key digest (the digest): the flash encryption key, half as long and the digest of the public key that signs bootloader and apps, in one programming, read back and compared\n") {
		t.Errorf("the plan is told as\n%s", lines)
	}
	c := newLater(t, f)
	var blocks []int
	c.weak = func(block int, _ []uint32) { blocks = append(blocks, block) }
	for _, s := range p {
		if err := c.burn(Plan{s}); err != nil {
			t.Fatal(s.Name, err)
		}
		told := s.Reads(c.image())
		if (told == "BLOCK_KEY0: the device key is hidden, the rest reads as the secure boot key digest (the digest)") != (s.Name == StageProtect) {
			t.Errorf("after %s it is told %q", s.Name, told)
		}
		if s.Name == StageKey && c.image().Holds(p[0].Key) != MatchWhole {
			t.Error("the block does not read as both")
		}
	}
	if n := len(slices.DeleteFunc(blocks, func(b int) bool { return b != f.Efuse.Block("BLOCK_KEY0") })); n != 1 {
		t.Errorf("BLOCK_KEY0 was programmed %d times", n)
	}
	want := append(reversedWords(key.Secret.Reveal()), forwardWords(digestBytes()[:16])...)
	if got := c.raw[f.Efuse.Block("BLOCK_KEY0")][:8]; !slices.Equal(got, want) {
		t.Errorf("the block is %08x, want %08x", got, want)
	}
	if got := c.image().Block0(); got[0] != 0x81 || got[1]&0x20_0781 != 0x20_0381 {
		t.Errorf("BLOCK0 is %08x", got)
	}

	hidden := withFlashKey(p, &Key{Compared: true})
	if _, err := hidden.Diff(c.image()); err != nil {
		t.Error(err)
	}
	without := mustNew(t, Options{Chip: f, Mode: Release, KeyBits: 128}) // a chip that has its key and no digest
	bare := newLater(t, f)
	if err := bare.burn(withFlashKey(without, testKey(t, 16))); err != nil {
		t.Fatal(err)
	}
	if err := bare.burn(p.Only(StageBootOn)); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "SECURE_BOOT_EN: BLOCK_KEY0 holds nothing to check with, so the chip would accept no bootloader") {
		t.Errorf("secure boot without a digest: %v", err)
	}
	c.raw[f.Efuse.Block("BLOCK_KEY0")][5] ^= 1 << 9
	if _, err := hidden.Diff(c.image()); err == nil {
		t.Error("another digest beside the hidden key is taken for ours")
	}
}

func reversedWords(b []byte) []uint32 {
	b = slices.Clone(b)
	slices.Reverse(b)
	return forwardWords(b)
}

func forwardWords(b []byte) []uint32 {
	words := make([]uint32, len(b)/4)
	getWords(words, b)
	return words
}

// A block that a cut burn left with one half, or with another digest, is never written
// again, nor hidden.
func TestHalfBurnedBlockOfBoth(t *testing.T) {
	f := chip.ESP32C2
	p, _ := besidePlan(t, Options{KeyPolicy: "derived", KeyBits: 128})
	whole := encodeRS(p[0].Key.words(f))
	for name, v := range map[string]struct {
		change func(raw []uint32)
		want   error
	}{
		"the key alone":    {func(raw []uint32) { clear(raw[4:]) }, ErrTorn},
		"the digest alone": {func(raw []uint32) { clear(raw[:4]) }, ErrTorn},
		"no check words":   {func(raw []uint32) { clear(raw[8:]) }, ErrTorn},
		"another digest":   {func(raw []uint32) { raw[5] ^= 1; copy(raw, encodeRS(raw[:8])) }, ErrConflict},
		"no digest":        {func(raw []uint32) { clear(raw[4:]); copy(raw, encodeRS(raw[:8])) }, ErrConflict},
	} {
		c := newLater(t, f)
		copy(c.raw[3], whole)
		v.change(c.raw[3])
		was := slices.Clone(c.raw[3])
		if _, err := p.Diff(c.image()); !errors.Is(err, v.want) {
			t.Errorf("%s: got %v", name, err)
		}
		if err := c.burn(p); err == nil || c.writes > 0 || !slices.Equal(c.raw[3], was) {
			t.Errorf("%s: %v after %d program commands", name, err, c.writes)
		}
	}
}

// Without flash encryption the digest is burned alone; a key of 256 bits leaves no room.
func TestDigestWithoutTheKey(t *testing.T) {
	p, _ := besidePlan(t, Options{Plain: true})
	c := newLater(t, chip.ESP32C2)
	for _, s := range p {
		if err := c.burn(Plan{s}); err != nil {
			t.Fatal(s.Name, err)
		}
		if got := Classify(c.image(), nil); s.Name == StageBootProtect && (got.Name != BootLoaded || got.Words != "BLOCK_KEY0 holds a key or digest of secure boot, which is off") {
			t.Errorf("it is %+v", got)
		}
	}
	if got := Classify(c.image(), nil); got.Name != BootOnly || !strings.HasPrefix(got.Words, "secure boot version 2 is on, with the digest in BLOCK_KEY0;") {
		t.Errorf("it is %+v", got)
	}
	if left, err := p.Diff(c.image()); err != nil || len(left) > 0 {
		t.Errorf("left over %v, %v", left, err)
	}
	o := Options{Chip: chip.ESP32C2, Mode: Release, Boot: &BootOptions{Version: 2, Keys: []BootKey{{"d", keyOf(t, digestBytes()).Secret}}}}
	if _, err := New(o); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "a key of 256 bits for flash encryption fills BLOCK_KEY0, and leaves no room for the digest of secure boot: take one of 128 (bits = 128 under [key])") || strings.Contains(err.Error(), ";") {
		t.Errorf("a key of 256 bits: %v", err)
	}
	o.Boot, o.Fuses = nil, map[string]uint32{"SECURE_BOOT_EN": 1}
	if _, err := New(o); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "SECURE_BOOT_EN needs the digest of a key") {
		t.Errorf("secure boot without a digest: %v", err)
	}
}

// Half of a longer key looks like a digest, and is never taken for one: neither while it
// can be read nor hidden.
func TestLongKeyIsNoDigest(t *testing.T) {
	p := withFlashKey(mustNew(t, Options{Chip: chip.ESP32C2, Mode: Release}), testKey(t, 32))
	c := newLater(t, chip.ESP32C2)
	for _, s := range p {
		if err := c.burn(Plan{s}); err != nil {
			t.Fatal(s.Name, err)
		}
		if got := Classify(c.image(), nil); strings.Contains(got.Words, "secure boot") {
			t.Errorf("after %s it is %+v", s.Name, got)
		}
	}
}
