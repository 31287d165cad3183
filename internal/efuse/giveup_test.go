package efuse

import (
	"errors"
	"testing"

	"station/internal/chip"
)

// Nothing is hidden of a chip that is given up but what a cut burn has left: neither a block
// that is whole nor one that is empty, and no block of another's plan.
func TestGiveUpHidesTornBlocksOnly(t *testing.T) {
	f := chip.ESP32C3
	b := f.Efuse.Blocks[f.Efuse.Block("BLOCK_KEY2")]
	torn := Image{Family: f}
	for _, fault := range b.Faults {
		torn.words[surveyOf(f).status+fault.Register] |= fault.Mask
	}
	left, err := GiveUp(f, "BLOCK_KEY2").Diff(torn)
	if err != nil || len(left) != 1 || len(left[0].Sets) != 2 || left[0].Sets[0] != (Set{"RD_DIS", 1 << 2}) || left[0].Sets[1] != (Set{"WR_DIS", 1<<10 | 1<<25}) {
		t.Errorf("got %+v, %v", left, err)
	}
	if _, err := GiveUp(f, "BLOCK_KEY1").Diff(torn); !errors.Is(err, ErrConflict) {
		t.Errorf("an empty block: got %v", err)
	}
	stray := GiveUp(f, "BLOCK_KEY2")
	stray[0].Sets[0].Value |= 1 << 3
	if _, err := stray.Diff(torn); !errors.Is(err, ErrPlan) {
		t.Errorf("a block that is not named: got %v", err)
	}
}
