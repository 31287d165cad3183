package efuse

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"station/internal/chip"
)

// Every reason that a chip can give against a plan.
func TestConflicts(t *testing.T) {
	key := testKey(t, 32)
	release := mustNew(t, Options{Mode: Release}).WithKey(key)
	known := *key
	known.Compared = true
	resumed := release.WithKey(&known)
	uart := mustNew(t, Options{Mode: Release, Fuses: map[string]uint32{"UART_DOWNLOAD_DIS": 1}}).WithKey(key)
	keyed := func(c *virtual) {
		for w := range 8 {
			c.raw[1][w] = keyWord(key.Secret.Reveal(), w)
		}
	}
	for _, tc := range []struct {
		name   string
		plan   Plan
		set    func(c *virtual)
		want   error
		reason string
	}{
		{"counter too far", mustNew(t, Options{Mode: Development}).WithKey(key), func(c *virtual) { c.raw[0][0] = 3 << 20 }, ErrConflict, "holds 3 and cannot become 1"},
		{"CONFIG of a weak job", mustNew(t, Options{Mode: Release, Weak: true, Fuses: map[string]uint32{"FLASH_CRYPT_CONFIG": 0}}).WithKey(key),
			func(c *virtual) { c.raw[0][5] |= 15 << 28 }, ErrConflict, "holds 15 and cannot become 0"},
		{"counter frozen", release, func(c *virtual) { c.raw[0][0] = 1 << 2 }, ErrConflict, "FLASH_CRYPT_CNT is write-protected (WR_DIS bit 2)"},
		{"CONFIG frozen", release, func(c *virtual) { c.raw[0][0] = 1 << 10 }, ErrConflict, "FLASH_CRYPT_CONFIG is write-protected (WR_DIS bit 10)"},
		{"loader bits frozen", release, func(c *virtual) { c.raw[0][0] = 1 << 15 }, ErrConflict, "DISABLE_DL_DECRYPT is write-protected"},
		{"RD_DIS frozen", release, func(c *virtual) { c.raw[0][0] = 1 }, ErrConflict, "RD_DIS is write-protected"},
		{"WR_DIS frozen", release, func(c *virtual) { c.raw[0][0] = 2 }, ErrConflict, "WR_DIS is write-protected"},
		{"BLOCK1 frozen and empty", release, func(c *virtual) { c.raw[0][0] = 1 << 7 }, ErrConflict, "BLOCK1 is write-protected"},
		{"BLOCK1 frozen and torn", release, func(c *virtual) { keyed(c); c.raw[1][3] = 0; c.raw[0][0] = 1 << 7 }, ErrConflict, "BLOCK1 is write-protected"},
		{"foreign key", release, func(c *virtual) { c.raw[1][3] = 0x12345678 }, ErrConflict, "not of this device's key"},
		{"hidden key", release, func(c *virtual) { keyed(c); c.raw[0][0] = 1<<16 | 1<<7 }, ErrConflict, "nobody can tell"},
		{"hiding a foreign key", release.Only(StageProtect), func(c *virtual) { c.raw[1][3] = 0x12345678 }, ErrKeyMismatch, "must not hide it"},
		{"hiding an empty block", release.Only(StageProtect), func(*virtual) {}, ErrKeyMismatch, "must not hide it"},
		{"hiding half a key", release.Only(StageProtect), func(c *virtual) { keyed(c); c.raw[1][0] = 0 }, ErrKeyMismatch, "must not hide it"},
		{"hiding with the key forgotten", release.Only(StageProtect).WithKey(&Key{}), keyed, ErrKeyMismatch, "must not hide it"},
		{"CONFIG hidden", release, func(c *virtual) { c.raw[0][0] = 8 << 16 }, ErrConflict, "RD_DIS bit 3 hides"},
		{"coding repeat", release, func(c *virtual) { c.raw[0][6] |= 2 }, ErrUnfit, "coding scheme 2"},
		{"32 bytes for 3/4", release, func(c *virtual) { c.raw[0][6] |= 1 }, ErrUnfit, "a key of 32 bytes does not fit coding scheme 3/4, which takes 24"},
		{"24 bytes for none", release.WithKey(testKey(t, 24)), func(*virtual) {}, ErrUnfit, "which takes 32"},
		{"zero key", release.WithKey(keyOf(t, make([]byte, 32))), func(*virtual) {}, ErrPlan, "all zero"},
		{"UART_DOWNLOAD_DIS on v1", uart, func(c *virtual) { c.regs[regDate] = 0; c.raw[0][5] &^= 1 << 20 }, ErrUnfit, "exists from revision v3.0; this chip is v1.0"},
		{"ABS_DONE_1 without a digest", bootPlan(t, 2).Only(StageBootOn), func(*virtual) {}, ErrConflict, "BLOCK2 holds nothing to check with"},
		{"counter before the key", release.Only(StageCount), func(c *virtual) { c.raw[0][5] |= 15 << 28 }, ErrConflict, "stage count needs RD_DIS bit 0 (BLOCK1) first"},
		{"counter before CONFIG", resumed.Only(StageCount), func(c *virtual) { c.raw[0][0] = 0x10088; c.raw[0][6] = 0x3c4 }, ErrConflict, "stage count needs FLASH_CRYPT_CONFIG = 15 first"},
		{"end of serial access before the counter", uart.Only(StageUART), func(c *virtual) { c.raw[0][0] = 0x10088; c.raw[0][5] |= 15 << 28 }, ErrConflict, "stage uart needs FLASH_CRYPT_CNT = 127 first"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := newChip(t)
			tc.set(c)
			c.latchAll()
			_, err := tc.plan.Diff(c.image())
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.reason) {
				t.Fatalf("got %v, want %q", err, tc.reason)
			}
			// Burn comes to the same, with nothing programmed.
			if err := c.burnAll(tc.plan[len(tc.plan)-1:]); len(tc.plan) == 1 && !errors.Is(err, tc.want) {
				t.Errorf("Burn: got %v", err)
			}
			if len(tc.plan) == 1 && c.programs != 0 {
				t.Error("something was programmed")
			}
		})
	}
	c := newChip(t)
	c.raw[0][0] = 1<<2 | 1<<10
	c.raw[1][0] = 1
	c.latchAll()
	var refused *RefusedError
	if _, err := uart.Diff(c.image()); !errors.As(err, &refused) || len(refused.Reasons) < 4 {
		t.Errorf("not every reason: %v", err)
	}
}

// A destroyed key is not an empty one.
func TestDestroyedKey(t *testing.T) {
	k := testKey(t, 32)
	k.Secret.Destroy()
	p := mustNew(t, Options{Mode: Release}).WithKey(k)
	if _, err := p.Diff(newChip(t).image()); !errors.Is(err, ErrPlan) {
		t.Errorf("got %v, want ErrPlan", err)
	}
}

// A plan without the device's key can be shown for a blank chip and for one
// that is done, and for nothing between.
func TestDiffWithoutKey(t *testing.T) {
	p := mustNew(t, Options{Mode: Release})
	left, err := p.Diff(newChip(t).image())
	if err != nil || stages(left) != stages(p) {
		t.Errorf("blank: got %v, %v", stages(left), err)
	}
	if left, err = p.Diff(Image{}); err != nil || stages(left) != stages(p) {
		t.Errorf("zero image: got %v, %v", stages(left), err)
	}
}

// What is left after burning is nothing, from any subset of the plan's bits,
// in steps cut anywhere: all ends are the same.
func TestInterruptedPlans(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, o := range []Options{
		{Mode: Release, Fuses: map[string]uint32{"UART_DOWNLOAD_DIS": 1}},
		{Mode: Development},
		{Mode: Release, Fuses: map[string]uint32{"DISABLE_BT": 1, "WR_DIS.FLASH_CRYPT_CNT": 1, "WR_DIS.RD_DIS": 1, "WR_DIS.WR_DIS": 1, "WR_DIS.JTAG_DISABLE": 1}},
	} {
		key := testKey(t, 32)
		plan := mustNew(t, o).WithKey(key)
		whole := newChip(t)
		if err := whole.burnAll(plan); err != nil {
			t.Fatal(err)
		}
		for range 300 {
			c := newChip(t)
			cuts := 0
			for i := 0; i < len(plan); {
				s := plan[i]
				if k := s.Key; k != nil || s.Compare != nil {
					// What the flow's ledger says: compared once stage key is done.
					own := *key
					own.Compared = i > 0
					s = Plan{s}.WithKey(&own)[0]
				}
				if cuts < 6 && rnd.IntN(2) == 0 {
					cuts++
					tear(c, rnd)
				}
				_, err := Burn(t.Context(), c, 40, c.seen(), s)
				if errors.Is(err, errCut) {
					c.powerCut()
					continue
				}
				if err != nil {
					t.Fatalf("stage %s after %d cuts: %v", s.Name, cuts, err)
				}
				i++
			}
			if c.raw != whole.raw {
				t.Fatalf("after %d cuts: got %08x, want %08x", cuts, c.raw, whole.raw)
			}
			done := *key
			done.Compared = true
			if left, err := plan.WithKey(&done).Diff(c.seen()); err != nil || len(left) != 0 {
				t.Fatalf("left over: %v, %v", left, err)
			}
			c.clean()
		}
	}
}

// Diff and Classify never panic, and what Diff leaves has only bits of the plan.
func FuzzDiff(f *testing.F) {
	key := testKey(f, 32)
	f.Add(uint32(0), uint32(0), uint32(4), uint32(0), uint32(0), uint32(1<<31), uint32(127), true)
	f.Add(uint32(0x07f10088), uint32(0xf0000000), uint32(0x3c4), uint32(0), uint32(0), uint32(0), uint32(1), false)
	f.Add(uint32(0x10080), uint32(0), uint32(1), uint32(7), uint32(0xfff), uint32(0), uint32(1), true)
	f.Fuzz(func(t *testing.T, w0, w5, w6, key0, dec, date, count uint32, release bool) {
		v := make([]uint32, surveySize)
		v[0], v[5], v[6], v[7], v[atDec], v[atDate] = w0, w5, w6, key0, dec, date
		have, err := newImage(chip.ESP32, v)
		if err != nil {
			t.Fatal(err)
		}
		defer have.Wipe()
		for _, k := range []*Key{nil, {}, key} {
			if st := Classify(have, k); st.Name == "" || st.Words == "" || st.Next == "" {
				t.Fatalf("no state for %v", have)
			}
			_ = have.Holds(k)
		}
		o := Options{Mode: Development, Fuses: map[string]uint32{"FLASH_CRYPT_CNT": count}}
		if release {
			o.Mode = Release
			o.Fuses["UART_DOWNLOAD_DIS"] = 1
		}
		p, err := New(o)
		if err != nil {
			return
		}
		left, err := p.WithKey(key).Diff(have)
		if err != nil {
			return
		}
		var after [7]uint32
		copy(after[:], have.Block0())
		for _, s := range left {
			for _, set := range s.Sets {
				fd, _ := chip.ESP32.Efuse.Field(set.Field)
				if p.wants(set.Field)&set.Value != set.Value {
					t.Fatalf("%v is not in the plan", set)
				}
				after[fd.Word] |= set.Value << fd.Bit
			}
		}
		for _, s := range p {
			for _, set := range s.Sets {
				if _, missing := set.in(chip.ESP32, after[:]); missing != 0 {
					t.Fatalf("%v is missing after the plan", set)
				}
			}
		}
	})
}
