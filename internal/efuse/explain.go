package efuse

import (
	"fmt"
	"strconv"

	"station/internal/record"
)

// Explain compares BLOCK0 with an earlier snapshot of the same chip: no bit may
// be gone, and every new one must be wanted by the plan, which holds the stages
// begun since. It guards against another chip with a copied MAC and against
// fuses burned by somebody else.
func (p Plan) Explain(before record.Fuses, have Image) error {
	if err := Lost(before, have); err != nil {
		return err
	}
	wanted := p.block0()
	for i, w := range before.Block("BLOCK0").Words {
		old, _ := strconv.ParseUint(w, 16, 32) // Lost has read it
		if stray := have.Block0()[i] &^ (uint32(old) | wanted[i]); stray != 0 {
			return fmt.Errorf("word %d of BLOCK0 has the bits %08x, which nobody here burned", i, stray)
		}
	}
	return nil
}

// Lost compares with an earlier snapshot of the same chip: no bit of BLOCK0 may
// be gone, and no block that may hold a key may be empty again. A chip that
// lacks one is another chip.
func Lost(before record.Fuses, have Image) error {
	words := before.Block("BLOCK0").Words
	if len(words) != len(have.Block0()) {
		return fmt.Errorf("the snapshot has %d words of BLOCK0", len(words))
	}
	for i, now := range have.Block0() {
		old, err := strconv.ParseUint(words[i], 16, 32)
		if err != nil {
			return fmt.Errorf("the snapshot's word %d: %w", i, err)
		}
		if gone := uint32(old) &^ now; gone != 0 {
			return fmt.Errorf("word %d of BLOCK0 has lost the bits %08x", i, gone)
		}
	}
	for _, now := range Redact(have) {
		if was := before.Block(now.Name).String(); now.State == record.BlockEmpty && was != now.State {
			return fmt.Errorf("%s was %s and is empty", now.Name, was)
		}
	}
	return nil
}

// block0 is every bit of BLOCK0 that the plan wants.
func (p Plan) block0() []uint32 {
	chip := p.family()
	words := make([]uint32, chip.Efuse.Blocks[0].Words)
	for _, s := range p {
		for _, set := range s.Sets {
			f, _ := chip.Efuse.Field(set.Field)
			put(f, words, set.Value)
		}
	}
	return words
}
