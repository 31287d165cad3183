package efuse

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

// bootPlan is a release plan with secure boot and both keys.
func bootPlan(t *testing.T, version int) Plan {
	t.Helper()
	p := mustNew(t, Options{Mode: Release, KeyPolicy: "derived m", Boot: bootOptions(t, version)}).WithKey(testKey(t, 32))
	if version == 1 {
		k := keyOf(t, bytes.Repeat([]byte{1, 2, 3, 4}, 8))
		k.Purpose = chip.SecureBootV1
		p = p.WithKey(k)
	}
	return p
}

func bootOptions(t *testing.T, version int) *BootOptions {
	t.Helper()
	if version == 2 {
		return &BootOptions{Version: 2, Keys: []BootKey{{"digest a0a1", keyOf(t, digestBytes()).Secret}}}
	}
	return &BootOptions{Version: version, Keys: []BootKey{{Policy: "derived boot-master"}}}
}

// digestBytes are A0 to BF, as in espefuse's example.
func digestBytes() (b []byte) {
	for i := range 32 {
		b = append(b, byte(0xa0+i))
	}
	return b
}

// The order of burning: keys and their protections, encryption, secure boot;
// after a good start what freezes, and the end of serial access last.
func TestBootPlans(t *testing.T) {
	for version, want := range map[int][]string{
		1: {"key: BLOCK1", "key-protect: RD_DIS bit 0 (BLOCK1)", "key-protect: WR_DIS bit 7 (BLOCK1)",
			"boot-key: BLOCK2", "boot-key-protect: RD_DIS bit 1 (BLOCK2)", "boot-key-protect: WR_DIS bit 8 (BLOCK2)",
			"config: FLASH_CRYPT_CONFIG", "config: CONSOLE_DEBUG_DISABLE", "config: JTAG_DISABLE", "config: DISABLE_DL_ENCRYPT", "config: DISABLE_DL_DECRYPT", "config: DISABLE_DL_CACHE",
			"config: WR_DIS bit 3", "count: FLASH_CRYPT_CNT", "boot-on: ABS_DONE_0"},
		2: {"key: BLOCK1", "key-protect: RD_DIS bit 0 (BLOCK1)", "key-protect: WR_DIS bit 7 (BLOCK1)",
			"boot-key: BLOCK2", "boot-key-protect: WR_DIS bit 8 (BLOCK2)",
			"config: FLASH_CRYPT_CONFIG", "config: CONSOLE_DEBUG_DISABLE", "config: JTAG_DISABLE", "config: DISABLE_DL_ENCRYPT", "config: DISABLE_DL_DECRYPT", "config: DISABLE_DL_CACHE",
			"config: WR_DIS bit 3", "count: FLASH_CRYPT_CNT", "boot-on: ABS_DONE_1", "lock: WR_DIS bit 0 (RD_DIS)", "uart: UART_DOWNLOAD_DIS"},
	} {
		got := bootPlan(t, version).Lines(Image{})
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("version %d:\ngot  %s\nwant %s", version, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
		for _, line := range got[1:] { // what protects and closes is burned for a reason
			if strings.Contains(line, "_DIS") && !strings.Contains(line, "; ") {
				t.Errorf("version %d: no reason in %q", version, line)
			}
		}
	}
	develop := mustNew(t, Options{Mode: Development, Boot: &BootOptions{Version: 2, Keys: []BootKey{{"d", keyOf(t, digestBytes()).Secret}}}})
	if len(develop.Only(StageUART)) > 0 || len(develop.Only(StageLock)) == 0 {
		t.Errorf("development: got %v", develop)
	}
}

// Without flash encryption nothing of it is burned.
func TestBootPlansAlone(t *testing.T) {
	for version, want := range map[int][]string{
		1: {"boot-key: BLOCK2", "boot-key-protect: RD_DIS bit 1 (BLOCK2)", "boot-key-protect: WR_DIS bit 8 (BLOCK2)",
			"config: CONSOLE_DEBUG_DISABLE", "config: JTAG_DISABLE", "config: WR_DIS bit 3", "boot-on: ABS_DONE_0"},
		2: {"boot-key: BLOCK2", "boot-key-protect: WR_DIS bit 8 (BLOCK2)",
			"config: CONSOLE_DEBUG_DISABLE", "config: JTAG_DISABLE", "config: WR_DIS bit 3", "boot-on: ABS_DONE_1", "lock: WR_DIS bit 0 (RD_DIS)", "uart: UART_DOWNLOAD_DIS"},
	} {
		p := mustNew(t, Options{Mode: Release, Plain: true, Boot: bootOptions(t, version)})
		if got := p.Lines(Image{}); !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("version %d:\ngot  %s\nwant %s", version, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
		}
		if w := p.Warnings(Release); len(w) != 1 || !strings.Contains(w[0], "the flash is not encrypted") {
			t.Errorf("version %d: warnings %q", version, w)
		}
	}
	for name := range map[string]bool{"FLASH_CRYPT_CNT": true, "FLASH_CRYPT_CONFIG": true, "DISABLE_DL_CACHE": true} {
		_, err := New(Options{Mode: Release, Plain: true, Boot: bootOptions(t, 2), Fuses: map[string]uint32{name: 1}})
		if err == nil || !strings.Contains(err.Error(), name+" is a fuse of flash encryption") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// ESP-IDF's own checks of a release device (esp_secure_boot_cfg_verify_release_mode,
// esp_flash_encryption_cfg_verify_release_mode) pass what release plans burn, by
// the bits of BLOCK0 as its manual numbers them.
func TestReleasePassesTheChecksOfIDF(t *testing.T) {
	type bit struct{ word, at int }
	encryption := []bit{{0, 16}, {0, 7}, {0, 3}, {6, 2}, {6, 6}, {6, 7}, {6, 8}, {6, 9}, {5, 28}, {5, 29}, {5, 30}, {5, 31},
		{0, 20}, {0, 21}, {0, 22}, {0, 23}, {0, 24}, {0, 25}, {0, 26}}
	boot := map[int][]bit{
		1: {{6, 4}, {0, 8}, {0, 17}, {6, 6}, {6, 2}},
		2: {{6, 5}, {0, 8}, {6, 6}, {6, 2}, {0, 27}, {0, 0}},
	}
	for version, bits := range boot {
		for _, alone := range []bool{false, true} {
			want := bits
			if !alone {
				want = slices.Concat(bits, encryption)
			}
			got := mustNew(t, Options{Mode: Release, Plain: alone, Boot: bootOptions(t, version)}).block0()
			for _, b := range want {
				if got[b.word]>>b.at&1 == 0 {
					t.Errorf("version %d, alone %t: bit %d of word %d is missing", version, alone, b.at, b.word)
				}
			}
			if version == 2 && got[0]>>17&1 == 1 || alone && (got[0]>>20&0x7f != 0 || got[0]>>16&1 == 1) {
				t.Errorf("version %d, alone %t: word 0 is %08x", version, alone, got[0])
			}
		}
	}
}

// Both versions burn from blank; what is burned is what espefuse would burn.
func TestBootBurns(t *testing.T) {
	for _, version := range []int{1, 2} {
		c := newChip(t)
		if version == 1 {
			c.regs[regDate], c.raw[0][5] = 0, c.raw[0][5]&^(1<<20)
			c.latchAll()
		}
		p := bootPlan(t, version)
		for i := range p {
			if err := c.burnAll(p[i : i+1]); err != nil {
				t.Fatalf("version %d, %s: %v", version, p[i].Name, err)
			}
		}
		first := map[int]uint32{1: 0x04030201, 2: 0xa3a2a1a0}[version]
		if version == 1 {
			first = 0x01020304 // reversed
		}
		if got := c.raw[2][0]; got != first {
			t.Errorf("version %d: BLOCK2 begins %08x, want %08x", version, got, first)
		}
		readable := c.raw[0][0]>>17&1 == 0
		if readable != (version == 2) || c.raw[0][0]>>8&1 != 1 {
			t.Errorf("version %d: BLOCK0 is %08x", version, c.raw[0][0])
		}
		if left, err := p.WithKey(&Key{Compared: true}).WithKey(&Key{Purpose: chip.SecureBootV1, Compared: true}).Diff(c.image()); err != nil || len(left) > 0 {
			t.Errorf("version %d: %v is left (%v)", version, left, err)
		}
		c.clean()
	}
}

// A torn block of ours is finished; a foreign one is not touched.
func TestTornBootKey(t *testing.T) {
	for _, version := range []int{1, 2} {
		p := bootPlan(t, version)
		block := func(t *testing.T, word uint32, bad bool) error {
			c := newChip(t)
			if version == 1 {
				c.regs[regDate], c.raw[0][5] = 0, c.raw[0][5]&^(1<<20)
			}
			c.raw[2][0], c.raw[0][0] = word, 1<<16|1<<7
			c.latchAll()
			err := c.burnAll(p.Only(StageBootKey))
			if err == nil && c.raw[2][1] == 0 {
				t.Error("not finished")
			}
			if bad && c.programs > 0 {
				t.Error("something was burned over a foreign block")
			}
			c.clean()
			return err
		}
		part := map[int]uint32{1: 0x00020000, 2: 0x00a20000}[version]
		if err := block(t, part, false); err != nil {
			t.Errorf("version %d, torn: %v", version, err)
		}
		if err := block(t, 0xffffffff, true); !errors.Is(err, ErrConflict) {
			t.Errorf("version %d, foreign: %v", version, err)
		}
	}
}

func TestBootRefusals(t *testing.T) {
	old := func(c *virtual) { c.regs[regDate], c.raw[0][5] = 0, c.raw[0][5]&^(1<<20) }
	for _, v := range []struct {
		name    string
		version int
		set     func(*virtual)
		want    string
	}{
		{"v2 on revision 1", 2, old, "ABS_DONE_1 exists from revision v3.0"},
		{"v1 on revision 3", 1, func(*virtual) {}, "ABS_DONE_0 is for chips before revision v3.0"},
		{"v2 under 3/4", 2, func(c *virtual) { c.raw[0][6] |= 1 }, "secure-boot-v2 takes 32 bytes, and under coding scheme 3/4"},
		{"BLOCK2 hidden", 2, func(c *virtual) { c.raw[0][0] |= 2 << 16; c.raw[2][0] = 1 }, "BLOCK2 is already hidden (RD_DIS bit 1)"},
		{"RD_DIS frozen", 1, func(c *virtual) { old(c); c.raw[0][0] |= 1 }, "RD_DIS is write-protected"},
	} {
		c := newChip(t)
		v.set(c)
		c.latchAll()
		if _, err := bootPlan(t, v.version).Diff(c.image()); err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s: got %v, want %q", v.name, err, v.want)
		}
	}
	for want, o := range map[string]Options{
		"has no secure boot version 3":            {Mode: Release, Boot: &BootOptions{Version: 3}},
		"ABS_DONE_1 must be burned alone, after":  {Mode: Release, Fuses: map[string]uint32{"ABS_DONE_1": 1}},
		"ABS_DONE_0 must be burned alone, after ": {Mode: Release, Fuses: map[string]uint32{"ABS_DONE_0": 1}},
		"RD_DIS bit 1 (BLOCK2) is never burned":   {Mode: Release, Boot: &BootOptions{Version: 2, Keys: []BootKey{{Policy: "d"}}}, Fuses: map[string]uint32{"RD_DIS.BLOCK2": 1}},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}
