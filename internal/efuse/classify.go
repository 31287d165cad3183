package efuse

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
	Unsupported StateName = "unsupported"
)

// State is what the fuses make of a chip: for people, and for an admission
// that knows the ledger too.
type State struct {
	Name  StateName
	Words string // what is so
	Next  string // what can be done
}

// harmless are the WR_DIS bits that a chip may have from its maker or from a
// board test: they freeze nothing that sealing burns.
const harmless = 1<<3 | 1<<4 | 1<<5 | 1<<6 | 1<<9

// Classify tells a chip's state. The key, if any, is the one that the ledger
// has assigned to this chip.
func Classify(have Image, k *Key) State {
	c := classifier{have, k, uint32(have.Value("WR_DIS")), uint32(have.Value("FLASH_CRYPT_CNT"))}
	for _, rule := range rules {
		if rule.test(c) {
			return rule.state
		}
	}
	return State{HalfDone, "some protections of this chip are burned and some are not",
		"only the ledger can tell whether a seal was interrupted; if it does not know this chip, set it aside"}
}

type classifier struct {
	have  Image
	key   *Key
	wrDis uint32
	count uint32
}

func (c classifier) is(field string) bool { return c.have.Value(field) != 0 }

func (c classifier) hidden() bool { return c.have.KeyState() == KeyHidden && c.wrDis>>7&1 == 1 }

// final reports that the counter can never become even again.
func (c classifier) final() bool { return c.count == 127 || c.wrDis>>2&1 == 1 }

// keyed reports a chip whose encryption is on, with all that it needs.
func (c classifier) keyed() bool {
	return odd(c.count) && c.hidden() && c.have.Value("FLASH_CRYPT_CONFIG") == 15
}

// virgin allows what a chip may have from its maker: CONSOLE_DEBUG_DISABLE,
// calibration in BLOCK3, a custom MAC, a flash voltage.
func (c classifier) virgin() bool {
	const w6 = 0x3f0 // ABS_DONE_0 to DISABLE_DL_CACHE
	w0 := c.have.Block0[0]
	return w0&^harmless == 0 && !c.is("FLASH_CRYPT_CONFIG") && c.have.Block0[6]&w6 == 0 &&
		c.have.KeyState() == KeyEmpty && c.have.emptyBlock2()
}

// rules are tried in order (ESP-IDF esp_get_flash_encryption_mode and the
// release check).
var rules = []struct {
	test  func(classifier) bool
	state State
}{
	{func(c classifier) bool { return c.have.Coding().KeyBytes() == 0 },
		State{Unsupported, "the chip's coding scheme is 2 (repeat), which this station does not burn",
			"use another chip"}},
	{func(c classifier) bool { return c.have.Value("RD_DIS")>>3&1 == 1 },
		State{HalfDone, "RD_DIS bit 3 hides FLASH_CRYPT_CONFIG, so nobody can tell whether it is right", "set the chip aside"}},
	{classifier.virgin,
		State{Virgin, "nothing that sealing burns is burned", "ready to be sealed"}},
	{func(c classifier) bool {
		return c.have.KeyState() == KeyWritten && c.key != nil && c.have.Holds(c.key) == MatchForeign
	},
		State{KeyForeign, "BLOCK1 holds a key that is not this device's", "set the chip aside: a key cannot be replaced"}},
	{func(c classifier) bool { return c.have.KeyState() == KeyWritten && c.count == 0 },
		State{KeyOpen, "BLOCK1 holds a key or part of one, and anybody can read it",
			"goes on if it is the key that the ledger has assigned to this chip; otherwise set it aside"}},
	{func(c classifier) bool { return c.count != 0 && c.have.KeyState() == KeyEmpty },
		State{HalfDone, "FLASH_CRYPT_CNT is burned but BLOCK1 holds no key", "set the chip aside"}},
	{func(c classifier) bool { return c.hidden() && !odd(c.count) },
		State{KeyLoaded, "a key is burned and protected; encryption is off",
			"goes on if the ledger knows the key; otherwise set it aside"}},
	{func(c classifier) bool {
		return c.keyed() && c.final() && c.is("DISABLE_DL_ENCRYPT") && c.is("DISABLE_DL_DECRYPT") && c.is("DISABLE_DL_CACHE")
	},
		State{InRelease, "flash encryption is on for ever (release mode)", "sealed; only images encrypted with its key can be written"}},
	{func(c classifier) bool { return c.keyed() && !c.final() },
		State{InDevelop, "flash encryption is on and can be switched off again (development mode)",
			"works with images encrypted with its key"}},
	{func(c classifier) bool { return odd(c.count) && c.hidden() && !c.is("FLASH_CRYPT_CONFIG") },
		State{HalfDone, "flash encryption is on but FLASH_CRYPT_CONFIG is 0, which is weak: images made for 15 do not start",
			"right only if a job asked for it; otherwise set it aside"}},
}
