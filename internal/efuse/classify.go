package efuse

import (
	"fmt"
	"slices"
	"strings"

	"station/internal/chip"
)

// StateName names what the fuses make of a chip.
type StateName string

// The states of a chip.
const (
	Virgin      StateName = "virgin"
	KeyOpen     StateName = "key-open"    // a key or part of one, still readable
	KeyForeign  StateName = "key-foreign" // readable, and not of the key that it was compared with
	KeyLoaded   StateName = "key-loaded"
	InDevelop   StateName = "development"
	InRelease   StateName = "release"
	HalfDone    StateName = "half-done"
	BootLoaded  StateName = "boot-loaded" // what secure boot needs is burned, and it is off
	BootOnly    StateName = "secure-boot" // it is on, and the flash is plain
	Unsupported StateName = "unsupported"
)

// State is what the fuses make of a chip: for people, and for an admission
// that knows the ledger too.
type State struct {
	Name  StateName
	Words string // what is so
	Next  string // what can be done
}

// Classify tells a chip's state. The key, if any, is the one that the ledger
// has assigned to this chip.
func Classify(have Image, k *Key) State {
	f := known(have.Family)
	c := classifier{have, f, k, uint32(have.Value("WR_DIS")), uint32(have.Value(f.Seal.Count)), bootOf(have)}
	state := State{HalfDone, "some protections of this chip are burned and some are not",
		"only the ledger can tell whether a seal was interrupted; if it does not know this chip, set it aside"}
	for _, rule := range rules {
		if rule.test(c) {
			state = rule.state(c)
			break
		}
	}
	if words := c.boot.words(); words != "" && state.Name != BootOnly && state.Name != BootLoaded {
		state.Words += "; " + words
	}
	return state
}

type classifier struct {
	have  Image
	chip  *chip.Family
	key   *Key
	wrDis uint32
	count uint32
	boot  bootState
}

func (c classifier) is(field string) bool { return c.have.Value(field) != 0 }

// blocks are the blocks that hold the flash-encryption key, or should; "" for a part that
// is in none.
func (c classifier) blocks() []string {
	if blocks := c.have.FlashKeyBlocks(); blocks != nil {
		return blocks
	}
	return []string{(&Key{}).In(c.chip)}
}

// block names them.
func (c classifier) block() string {
	return strings.Join(slices.DeleteFunc(c.blocks(), func(name string) bool { return name == "" }), " and ")
}

func (c classifier) state() KeyState { return c.have.StateOfAll(c.blocks()) }

// torn reports a block of the key that can be programmed once only, and was cut off.
func (c classifier) torn() bool { return slices.ContainsFunc(c.blocks(), c.have.Torn) }

func (c classifier) hidden() bool {
	return !slices.ContainsFunc(c.blocks(), func(name string) bool {
		b := c.chip.Efuse.Block(name)
		return c.have.StateOf(name) != KeyHidden || c.wrDis>>c.chip.Efuse.Blocks[b].WriteDisable&1 == 0
	})
}

// halved reports a key of which a part is burned, and the chip does not say where the
// others are.
func (c classifier) halved() bool {
	return c.state() == KeyHidden && slices.Contains(c.blocks(), "")
}

// final reports that the counter can never become even again.
func (c classifier) final() bool {
	f, _ := c.chip.Efuse.Field(c.chip.Seal.Count)
	return c.count == c.chip.Seal.CountFull || c.wrDis>>f.WriteDisable&1 == 1
}

// right reports that the encryption is as strong as it can be.
func (c classifier) right() bool {
	return !slices.ContainsFunc(c.chip.Seal.Right, func(v chip.Value) bool { return uint32(c.have.Value(v.Field)) != v.Value })
}

// keyed reports a chip whose encryption is on, with all that it needs.
func (c classifier) keyed() bool { return odd(c.count) && c.hidden() && c.right() }

// virgin allows what a chip may have from its maker: calibration, a custom MAC, a
// flash voltage, protections of these.
func (c classifier) virgin() bool {
	if c.wrDis&^c.chip.Seal.Harmless != 0 || slices.ContainsFunc(c.chip.Seal.Untouched, c.is) {
		return false
	}
	for _, b := range c.chip.Efuse.Blocks {
		if b.Holds != chip.Words && c.have.StateOf(b.Name) != KeyEmpty {
			return false
		}
	}
	return true
}

// plain reports a chip of which nobody began to encrypt the flash.
func (c classifier) plain() bool { return c.count == 0 && c.state() == KeyEmpty }

// closed reports that the loader can do nothing with the key.
func (c classifier) closed() bool {
	return !slices.ContainsFunc(c.chip.Seal.Loader, func(field string) bool { return !c.is(field) })
}

func always(name StateName, words, next string) func(classifier) State {
	return func(classifier) State { return State{name, words, next} }
}

// rules are tried in order (ESP-IDF esp_get_flash_encryption_mode and the
// release check).
var rules = []struct {
	test  func(classifier) bool
	state func(classifier) State
}{
	{func(c classifier) bool { return c.have.Coding().KeyBytes() == 0 },
		always(Unsupported, "the chip's coding scheme is 2 (repeat), which this station does not burn",
			"use another chip")},
	{func(c classifier) bool { d := differ{have: c.have, family: c.chip}; d.unseen(); return d.err() != nil },
		func(c classifier) State {
			d := differ{have: c.have, family: c.chip}
			d.unseen()
			return State{HalfDone, d.Reasons[0], "set the chip aside"}
		}},
	{classifier.virgin,
		always(Virgin, "nothing that sealing burns is burned", "ready to be sealed")},
	{func(c classifier) bool {
		return c.state() == KeyWritten && c.key != nil && c.have.Holds(c.key) == MatchForeign
	},
		func(c classifier) State {
			return State{KeyForeign, c.block() + " holds a key that is not this device's", "set the chip aside: a key cannot be replaced"}
		}},
	{func(c classifier) bool { return c.torn() && c.count == 0 },
		func(c classifier) State {
			return State{KeyOpen, c.block() + " is half burned: the burn of a key was cut off, and anybody can read part of it",
				"goes on with another block, if there is one and the ledger knows this chip; otherwise set it aside"}
		}},
	{func(c classifier) bool { return c.state() == KeyWritten && c.count == 0 },
		func(c classifier) State {
			return State{KeyOpen, c.block() + " holds a key or part of one, and anybody can read it",
				"goes on if it is the key that the ledger has assigned to this chip; otherwise set it aside"}
		}},
	{func(c classifier) bool { return c.plain() && c.boot.on != 0 && c.boot.lacks == "" },
		func(c classifier) State {
			return State{BootOnly, c.boot.words() + "; the flash is not encrypted", "sealed without flash encryption: it starts only what is signed"}
		}},
	{func(c classifier) bool { return c.plain() && c.boot.on == 0 && c.boot.holds != "" },
		func(c classifier) State {
			return State{BootLoaded, c.boot.words(), "goes on if the ledger knows this chip; otherwise set it aside"}
		}},
	{func(c classifier) bool { return c.count != 0 && c.state() == KeyEmpty },
		func(c classifier) State {
			return State{HalfDone, c.chip.Seal.Count + " is burned but " + c.block() + " holds no key", "set the chip aside"}
		}},
	{classifier.halved,
		func(c classifier) State {
			return State{HalfDone, c.block() + " holds one half of a key, and no block says that it holds the other",
				"goes on if the ledger knows this chip; otherwise set it aside"}
		}},
	{func(c classifier) bool { return c.hidden() && !odd(c.count) },
		always(KeyLoaded, "a key is burned and protected; encryption is off",
			"goes on if the ledger knows the key; otherwise set it aside")},
	{func(c classifier) bool { return c.keyed() && c.final() && c.closed() },
		always(InRelease, "flash encryption is on for ever (release mode)", "sealed; only images encrypted with its key can be written")},
	{func(c classifier) bool { return c.keyed() && !c.final() },
		always(InDevelop, "flash encryption is on and can be switched off again (development mode)",
			"works with images encrypted with its key")},
	{func(c classifier) bool {
		return odd(c.count) && c.hidden() && !c.right() && !c.is(c.chip.Seal.Right[0].Field)
	},
		func(c classifier) State {
			r := c.chip.Seal.Right[0]
			return State{HalfDone, fmt.Sprintf("flash encryption is on but %s is 0, which is weak: images made for %d do not start", r.Field, r.Value),
				"right only if a job asked for it; otherwise set it aside"}
		}},
}
