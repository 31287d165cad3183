package efuse

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"station/internal/chip"
)

// A key for HMACs goes into the block that firmware names, so does one for updates, and every other key leaves that
// to it; it is hidden before encryption is on. What leaves no room is refused.
func TestPlanWithHMACKey(t *testing.T) {
	for _, f := range chip.Families[1:] {
		_, has := f.Seal.Keys[chip.HMAC]
		for _, n := range []int{0, 4} {
			name := fmt.Sprint("BLOCK_KEY", n)
			p, err := New(Options{Chip: f, Mode: Release, KeyPolicy: "derived",
				HMAC: []HMACKey{{chip.HMAC, name, "derived hmac"}, {chip.HMACUpdates, fmt.Sprint("BLOCK_KEY", 5-n), "shared fleet"}}})
			if !has {
				if err == nil {
					_, err = p.Diff(Image{Family: f})
				}
				if !errors.Is(err, ErrPlan) {
					t.Errorf("%s, which has none: %v", f.Name, err)
				}
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Join(p.Lines(Image{}), "\n") // of a blank chip
			want := []string{"key: BLOCK_KEY" + fmt.Sprint([]int{1, 0, 0, 0, 0, 1}[n]) + " empty → device key", "hmac-key: " + name + " empty → HMAC key (derived hmac): the key for HMACs",
				fmt.Sprintf("hmac-key-protect: KEY_PURPOSE_%d 0 → 8", n), fmt.Sprintf("hmac-key-protect: RD_DIS bit %d", n),
				fmt.Sprintf("hmac-key-2: BLOCK_KEY%d empty → HMAC key for updates (shared fleet)", 5-n), fmt.Sprintf("hmac-key-protect-2: KEY_PURPOSE_%d 0 → 8", 5-n), "count: "}
			for _, line := range want {
				_, after, found := strings.Cut(lines, line)
				if lines = after; !found {
					t.Errorf("%s: there is no %q, or not in this order:\n%v", f.Name, line, p)
				}
			}
			c := newLater(t, f)
			key, hmac, ota := testKey(t, 32), testKey(t, 32), testKey(t, 32)
			hmac.Purpose, ota.Purpose = chip.HMAC, chip.HMACUpdates
			whole := p.WithKey(key).WithKey(hmac).WithKey(ota)
			if err := c.burn(whole); err != nil {
				t.Fatal(err)
			}
			if left, err := p.WithKey(&Key{Compared: true}).WithKey(&Key{Purpose: chip.HMAC, Compared: true}).WithKey(&Key{Purpose: chip.HMACUpdates, Compared: true}).Diff(c.image()); err != nil || len(left) > 0 {
				t.Errorf("%s: %v is left, %v", f.Name, left, err)
			}
			if got := Classify(c.image(), nil); got.Name != InRelease {
				t.Errorf("%s: it is %+v", f.Name, got)
			}
		}
	}
	twice := []HMACKey{{chip.HMAC, "BLOCK_KEY1", "a"}, {chip.HMAC, "BLOCK_KEY1", "b"}}
	if _, err := New(Options{Chip: chip.ESP32S3, Mode: Release, HMAC: twice}); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "BLOCK_KEY1 is for two keys") {
		t.Errorf("a block for two keys: %v", err)
	}
	all := []HMACKey{{chip.HMAC, "BLOCK_KEY0", ""}, {chip.HMAC, "BLOCK_KEY1", ""}, {chip.HMAC, "BLOCK_KEY2", ""}, {chip.HMAC, "BLOCK_KEY3", ""}}
	if _, err := New(Options{Chip: chip.ESP32S3, Mode: Release, KeyBits: 512, HMAC: all}); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), "no block of the ESP32-S3 is left for the key for flash-encryption-2") {
		t.Errorf("no room: %v", err)
	}
}
