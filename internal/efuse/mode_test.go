package efuse

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

// The words after a whole seal, as ESP-IDF's rules give them.
func TestWordsOfModes(t *testing.T) {
	for _, tc := range []struct {
		name   string
		o      Options
		w0, w6 uint32
		stages string
	}{
		{"release", Options{Mode: Release}, 0x07f10088, 0x3c4, "key key-protect config count"},
		{"release without serial port", Options{Mode: Release, Fuses: map[string]uint32{"UART_DOWNLOAD_DIS": 1}},
			0x0ff10088, 0x3c4, "key key-protect config count uart"},
		{"development", Options{Mode: Development}, 0x00110088, 0x344, "key key-protect config count"},
		{"release locked", Options{Mode: Release, Fuses: map[string]uint32{
			"WR_DIS.FLASH_CRYPT_CNT": 1, "WR_DIS.RD_DIS": 1, "WR_DIS.FLASH_CRYPT_CONFIG": 1, "WR_DIS.DISABLE_DL_CACHE": 1,
			"WR_DIS.JTAG_DISABLE": 1, "WR_DIS.WR_DIS": 1, "FLASH_CRYPT_CNT": 1}},
			0x0011c48f, 0x3c4, "key key-protect config count lock freeze"},
		{"job's own fuses", Options{Mode: Development, Fuses: map[string]uint32{
			"DISABLE_BT": 1, "JTAG_DISABLE": 0, "DISABLE_SDIO_HOST": 1, "WR_DIS.BLOCK3": 1}},
			0x00110288, 0x30c, "key key-protect config count lock"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newChip(t)
			fresh := c.raw
			p := mustNew(t, tc.o)
			if got := stages(p); got != tc.stages {
				t.Errorf("stages: got %q, want %q", got, tc.stages)
			}
			if err := c.burnAll(p.WithKey(testKey(t, 32))); err != nil {
				t.Fatal(err)
			}
			if c.raw[0][0] != tc.w0 || c.raw[0][5] != fresh[0][5]|0xf000_0000 || c.raw[0][6] != tc.w6 {
				t.Errorf("got %08x %08x %08x", c.raw[0][0], c.raw[0][5], c.raw[0][6])
			}
			if left, err := p.WithKey(&Key{Compared: true}).Diff(c.image()); err != nil || len(left) != 0 {
				t.Errorf("left over: %v, %v", left, err)
			}
		})
	}
}

// A release that write protects its counter need not have all of its bits, and the
// plan does not say that it has.
func TestTheReasonOfTheCounterFitsItsValue(t *testing.T) {
	for value, want := range map[uint32]string{
		127: "a release has all of its bits, so that no other one can switch encryption off",
		1:   "encryption is on while an odd number of its bits is set",
	} {
		p := mustNew(t, Options{Mode: Release, Fuses: map[string]uint32{"FLASH_CRYPT_CNT": value, "WR_DIS.FLASH_CRYPT_CNT": 1}})
		if got := p.Why("FLASH_CRYPT_CNT"); got != want {
			t.Errorf("%d: got %q", value, got)
		}
	}
}

func stages(p Plan) string {
	var names []string
	for _, s := range p {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// Every guard of planning, with a word of the reason.
func TestRefusedPlans(t *testing.T) {
	for _, tc := range []struct {
		fuse   string
		value  uint32
		reason string
	}{
		{"DIS_CACHE", 1, "stop the chip"},
		{"DISABLE_APP_CPU", 1, "two cores"},
		{"CODING_SCHEME", 1, "how keys are stored"},
		{"MAC", 1, "factory"},
		{"MAC_CRC", 1, "factory"},
		{"XPD_SDIO_FORCE", 1, "voltage"},
		{"ADC_VREF", 1, "no part in sealing"},
		{"CHIP_VER_REV1", 1, "no part in sealing"},
		{"BLOCK1", 1, "no part in sealing"},
		{"BLOCK3", 1, "no part in sealing"},
		{"DISABLE_WIFI", 1, "no such field"},
		{"WR_DIS.DISABLE_WIFI", 1, "no such bit"},
		{"WR_DIS.CHIP_PACKAGE", 1, "no such bit"},
		{"RD_DIS.MAC", 1, "no such bit"},
		{"MAC.BLOCK1", 1, "no such bit"},
		{"WR_DIS.RD_DIS", 2, "want 0 or 1"},
		{"WR_DIS", 1 << 11, "one by one"},
		{"RD_DIS.BLOCK2", 1, "RD_DIS bit 1 (BLOCK2) is never burned"},
		{"RD_DIS.FLASH_CRYPT_CONFIG", 1, "FLASH_CRYPT_CONFIG, CODING_SCHEME, KEY_STATUS) is never burned"},
		{"RD_DIS.BLOCK1", 0, "not optional"},
		{"WR_DIS.BLOCK1", 0, "not optional"},
		{"FLASH_CRYPT_CONFIG", 0, "weakens"},
		{"FLASH_CRYPT_CONFIG", 7, "weakens"},
		{"FLASH_CRYPT_CONFIG", 16, "does not fit"},
		{"FLASH_CRYPT_CNT", 0, "leaves encryption off"},
		{"FLASH_CRYPT_CNT", 3, "leaves encryption off"},
		{"JTAG_DISABLE", 2, "does not fit"},
	} {
		_, err := New(Options{Mode: Release, Fuses: map[string]uint32{tc.fuse: tc.value}})
		if !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s = %d: got %v, want %q", tc.fuse, tc.value, err, tc.reason)
		}
	}
	_, err := New(Options{Mode: "open", Fuses: map[string]uint32{"MAC": 1, "DIS_CACHE": 1}})
	var refused *RefusedError
	if !errors.As(err, &refused) || len(refused.Reasons) != 3 {
		t.Errorf("not every reason: %v", err)
	}
}

// Order traps. Each is tried as a job could ask for it and as stages by hand.
func TestOrderTraps(t *testing.T) {
	key := &Key{Policy: "derived"}
	protect := []Set{{"RD_DIS", 1}}
	for _, tc := range []struct {
		name   string
		plan   Plan
		reason string
	}{
		{"b2 before the counter", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 2}}}, {Name: "b", Sets: []Set{{"FLASH_CRYPT_CNT", 127}}}}, "freeze FLASH_CRYPT_CNT"},
		{"b2 before the end of serial access", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 2}}}, {Name: "b", Sets: []Set{{"UART_DOWNLOAD_DIS", 1}}}}, "freeze UART_DOWNLOAD_DIS"},
		{"b10 before CONFIG", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 10}}}, {Name: "b", Sets: []Set{{"FLASH_CRYPT_CONFIG", 15}}}}, "freeze FLASH_CRYPT_CONFIG"},
		{"b15 before the loader bits", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 15}}}, {Name: "b", Sets: []Set{{"DISABLE_DL_CACHE", 1}}}}, "freeze DISABLE_DL_CACHE"},
		{"b0 before RD_DIS", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1}}}, {Name: "b", Sets: protect, Compare: key}}, "freeze RD_DIS bit 0"},
		{"b0 with RD_DIS", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1}, {"RD_DIS", 1}}, Compare: key}}, "freeze RD_DIS bit 0"},
		{"b13 with ABS_DONE_1", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 13}, {"ABS_DONE_1", 1}}}}, "freeze ABS_DONE_1"},
		{"b1 before other bits", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 1}}}, {Name: "b", Sets: []Set{{"WR_DIS", 1 << 8}}}}, "freeze WR_DIS bit 8"},
		{"b1 with other bits", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1<<1 | 1<<8}}}}, "freeze WR_DIS bit 8"},
		{"b7 before the key", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 7}}}, {Name: "b", Key: key}}, "freeze BLOCK1"},
		{"b3 before DISABLE_BT", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 3}}}, {Name: "b", Sets: []Set{{"DISABLE_BT", 1}}}}, "freeze DISABLE_BT"},
		{"counter with others", Plan{{Name: "a", Sets: []Set{{"FLASH_CRYPT_CNT", 127}, {"JTAG_DISABLE", 1}}}}, "burned alone"},
		{"end of serial access with others", Plan{{Name: "a", Sets: []Set{{"UART_DOWNLOAD_DIS", 1}, {"JTAG_DISABLE", 1}}}}, "last and alone"},
		{"end of serial access not last", Plan{{Name: "a", Sets: []Set{{"UART_DOWNLOAD_DIS", 1}}}, {Name: "b", Sets: []Set{{"JTAG_DISABLE", 1}}}}, "last and alone"},
		{"hiding without a key", Plan{{Name: "a", Sets: protect}}, "needs the key"},
		{"unused bit", Plan{{Name: "a", Sets: []Set{{"WR_DIS", 1 << 11}}}}, "WR_DIS bit 11 (unused) is never burned"},
		{"too wide", Plan{{Name: "a", Sets: []Set{{"JTAG_DISABLE", 3}}}}, "does not fit"},
	} {
		c := newChip(t)
		_, err := tc.plan.Diff(c.image())
		if !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.reason)
		}
	}
	// The same through a job: the two cannot both be had.
	_, err := New(Options{Mode: Release, Fuses: map[string]uint32{"WR_DIS.FLASH_CRYPT_CNT": 1, "UART_DOWNLOAD_DIS": 1}})
	if !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "stage lock would freeze UART_DOWNLOAD_DIS") {
		t.Errorf("got %v", err)
	}
}

// Burn refuses by itself what planning would have refused.
func TestBurnRefusesUnsafeStages(t *testing.T) {
	for _, s := range []Stage{
		{Name: "a", Sets: []Set{{"DIS_CACHE", 1}}},
		{Name: "a", Sets: []Set{{"WR_DIS", 1 << 2}, {"FLASH_CRYPT_CNT", 127}}},
		{Name: "a", Sets: []Set{{"NO_SUCH", 1}}},
		{Name: "a", Key: &Key{}},
	} {
		c := newChip(t)
		if _, err := Burn(t.Context(), c, 40, c.seen(), s); !errors.Is(err, ErrPlan) {
			t.Errorf("%v: got %v, want ErrPlan", s.Sets, err)
		}
		if c.programs != 0 {
			t.Error("something was programmed")
		}
		c.clean()
	}
}

func TestDigest(t *testing.T) {
	base := mustNew(t, Options{Mode: Release})
	// Frozen: approvals in ledgers name it.
	const want = "sha256:f6f30b54a7bf0d22"
	if got := base.Digest(); !strings.HasPrefix(got, want) {
		t.Errorf("got %s, want %s…", got, want)
	}
	if base.WithKey(testKey(t, 32)).Digest() != base.Digest() {
		t.Error("the digest depends on the device")
	}
	seen := map[string]string{base.Digest(): "release"}
	for name, o := range map[string]Options{
		"development": {Mode: Development},
		"policy":      {Mode: Release, KeyPolicy: "shared fleet"},
		"one fuse":    {Mode: Release, Fuses: map[string]uint32{"DISABLE_BT": 1}},
		"one less":    {Mode: Release, Fuses: map[string]uint32{"JTAG_DISABLE": 0}},
		"weak":        {Mode: Release, Weak: true, Fuses: map[string]uint32{"FLASH_CRYPT_CONFIG": 0}},
		"lock":        {Mode: Release, Fuses: map[string]uint32{"WR_DIS.RD_DIS": 1}},
	} {
		d := mustNew(t, o).Digest()
		if other, ok := seen[d]; ok {
			t.Errorf("%s and %s have the same digest", name, other)
		}
		seen[d] = name
	}
	for range 20 { // overrides come from a map
		o := Options{Mode: Release, Fuses: map[string]uint32{"WR_DIS.RD_DIS": 1, "DISABLE_BT": 1, "WR_DIS.JTAG_DISABLE": 1, "DISABLE_SDIO_HOST": 1}}
		seen[mustNew(t, o).Digest()] = "same"
	}
	if n := len(slices.DeleteFunc(slices.Collect(maps.Values(seen)), func(s string) bool { return s != "same" })); n != 1 {
		t.Errorf("one job has %d digests", n)
	}
}

func TestLines(t *testing.T) {
	p := mustNew(t, Options{Mode: Release, Fuses: map[string]uint32{"WR_DIS.RD_DIS": 1, "UART_DOWNLOAD_DIS": 1}})
	c := newChip(t)
	got := strings.Join(p.Lines(c.image()), "\n")
	for _, want := range []string{
		"key: BLOCK1 empty → device key (derived): the flash encryption key, read back and compared",
		"key-protect: RD_DIS bit 0 (BLOCK1) 0 → 1: BLOCK1 can never be read again, only used by the chip",
		"key-protect: WR_DIS bit 7 (BLOCK1) 0 → 1: BLOCK1 can never be written again",
		"config: FLASH_CRYPT_CONFIG 0 → 15: ",
		"config: WR_DIS bit 3 (MAC, MAC_CRC, DISABLE_APP_CPU, DISABLE_BT, DIS_CACHE, VOL_LEVEL_HP_INV) 0 → 1",
		"count: FLASH_CRYPT_CNT 0 → 127: ",
		"lock: WR_DIS bit 0 (RD_DIS) 0 → 1: ",
		"uart: UART_DOWNLOAD_DIS 0 → 1: ends serial download for ever",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "CONSOLE_DEBUG_DISABLE") || !strings.Contains(p.String(), "CONSOLE_DEBUG_DISABLE 0 → 1") {
		t.Error("a fuse that the factory has burned is a change here, or none on a blank chip")
	}
	k := testKey(t, 32)
	if got := p.WithKey(k)[0].Changes(c.image())[0].New; got != "device key "+k.Check {
		t.Errorf("got %q", got)
	}
	if got := (Set{"WR_DIS", 1<<7 | 1<<8}).text(chip.ESP32); got != "WR_DIS bit 7 (BLOCK1), WR_DIS bit 8 (BLOCK2)" {
		t.Errorf("got %q", got)
	}
}

func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		o    Options
		want []string
	}{
		{Options{Mode: Release}, nil},
		{Options{Mode: Development}, nil},
		{Options{Mode: Release, Weak: true, Fuses: map[string]uint32{"FLASH_CRYPT_CONFIG": 0}}, []string{"FLASH_CRYPT_CONFIG = 0: "}},
		{Options{Mode: Release, Weak: true, Fuses: map[string]uint32{"FLASH_CRYPT_CONFIG": 3}}, []string{"FLASH_CRYPT_CONFIG = 3: "}},
		{Options{Mode: Release, Fuses: map[string]uint32{"JTAG_DISABLE": 0, "DISABLE_DL_ENCRYPT": 0, "WR_DIS.DIS_CACHE": 0, "FLASH_CRYPT_CNT": 1}},
			[]string{"DISABLE_DL_ENCRYPT", "JTAG_DISABLE", "WR_DIS bit 3", "FLASH_CRYPT_CNT"}},
	} {
		got := mustNew(t, tc.o).Warnings(tc.o.Mode)
		if len(got) != len(tc.want) {
			t.Errorf("%v: got %q, want %q", tc.o, got, tc.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i], tc.want[i]) {
				t.Errorf("got %q, want %q…", got[i], tc.want[i])
			}
		}
	}
}
