package chip

import (
	"cmp"
	"fmt"
	"slices"
)

// Family is everything that the program knows of one kind of chip. There is one
// literal per family, of numbers and names only: nothing outside this package
// and the virtual chip asks for a family by its name.
type Family struct {
	Name    string // as job files and key derivation name it: "esp32c3"
	Title   string // as people name it: "ESP32-C3"
	ImageID uint16 // chip ID in image headers and in the loader's security info
	// Proved: the loader was held against traces of the chip's own ROM, and the fuses
	// against what another program burned. Others are tabled: they were held against
	// known answers alone, and a real device is touched only where its job allows it.
	Proved bool
	// Bootloader is the flash address from which the ROM starts.
	Bootloader uint32
	// Load is where an image's segments are loaded, Mapped where the chip sees its flash:
	// the memories of ESP-IDF's linker scripts, data before code. The virtual
	// ESP32 itself has its Load.
	Load, Mapped []Span
	// Speeds are the frequencies of the flash by their codes in an image header; "40m or 80m"
	// is a code for both.
	Speeds map[byte]string
	// OwnPage: the firmware chooses how much of the flash the cache maps at a time, as its
	// descriptor tells; elsewhere it is 64 KB.
	OwnPage bool

	Crystals  []int      // MHz
	Revisions []Revision // that are usual, the most usual first
	Cipher    Cipher
	Loader    Loader
	Efuse     Efuse
	Seal      Seal
}

// Span is some addresses, without the last.
type Span struct{ From, To uint32 }

// Loader is how the serial loader in the chip's ROM is spoken to, and where it
// tells who the chip is.
type Loader struct {
	// Magic is what MagicAddr answers; 0 where the chip tells its ID in the answer
	// to GET_SECURITY_INFO, and the magic word changes with the mask.
	Magic uint32
	// Calibration is the register with the ROM's measurement of the crystal, by
	// which it computes other speeds; 0 where it knows the crystal.
	Calibration uint32
	// Assumes is the crystal, in MHz, by which the ROM computes other speeds whatever
	// the chip has; 0 where it does not assume one.
	Assumes int
	// BeginWords are those of FLASH_BEGIN, neither more nor fewer. The fifth asks
	// the chip to encrypt what follows.
	BeginWords int
	Clkdiv     uint32 // the UART's clock divider, as the ROM measured the host's speed
	InRAM      bool   // there is a loader of ours for the chip's RAM (docs/loader.md)
	USB        OwnUSB
	SPI        SPI
	// Major and Minor are the fields of the chip's revision, the lowest bits
	// first; none on a chip that tells it otherwise.
	Major, Minor []string
	// Packages are the names of the chip by its field PKG_VERSION.
	Packages map[uint32]string
}

// SPI is where the controller is through which the loader reaches the flash.
type SPI struct{ Cmd, User, User2, MISOLen, W0 uint32 }

// MagicAddr is a word of the mask ROM in which the families differ.
const MagicAddr = 0x4000_1000

// Revision is the chip's revision out of its fields.
func (f *Family) Revision(value func(field string) uint64) Revision {
	number := func(fields []string) (n uint64) {
		shift := 0
		for _, name := range fields {
			field, _ := f.Efuse.Field(name)
			n |= value(name) << shift
			shift += field.Width
		}
		return n
	}
	return Revision(100*number(f.Loader.Major) + number(f.Loader.Minor))
}

// Crystal is the crystal in MHz that is nearest to what the UART's divider says, as the ROM measured
// the host's speed; a chip with one kind of crystal has that.
func (f *Family) Crystal(clkdiv uint32, baud int) int {
	best := f.Crystals[0]
	hz := uint64(clkdiv&0xfffff) * uint64(baud)
	for _, mhz := range f.Crystals {
		if diff(hz, uint64(mhz)*1e6) < diff(hz, uint64(best)*1e6) {
			best = mhz
		}
	}
	return best
}

func diff(a, b uint64) uint64 { return max(a, b) - min(a, b) }

// Package is the name of a chip of the family with this PKG_VERSION.
func (f *Family) Package(code uint32) string {
	if name, ok := f.Loader.Packages[code]; ok {
		return name
	}
	return fmt.Sprintf("%s (package %d)", f.Title, code)
}

// Cipher is how the chip decrypts its flash.
type Cipher string

// The ciphers.
const (
	TweakedAES Cipher = "aes-tweaked" // of the ESP32: the key changes with the address
	XTS128     Cipher = "xts-aes-128"
	XTS256     Cipher = "xts-aes-256"
)

// Efuse is the fuse controller and what its fuses mean.
type Efuse struct {
	Blocks []Block
	Fields []Field

	Conf, Cmd uint32 // registers of the operation code and of the command
	// Check is the first register for the three check words of a Reed-Solomon
	// block; 0 where the chip has none.
	Check uint32
	// Named says that a program command names the block in its bits from 2 on, and that all
	// blocks share their write registers. Otherwise one command burns all.
	Named bool
	// Timing is what the controller must be told about its clock before it
	// programs, by crystal in MHz: in the loader the bus runs from the crystal.
	Timing map[int][]RegWrite
	// Status are the registers that tell of faults in coded blocks.
	Status []uint32
	// Extra are other registers that belong to a chip's identity.
	Extra []uint32

	byName map[string]Field
}

// Block is where one fuse block is and what it may hold.
type Block struct {
	Name        string
	Words       int
	Read, Write uint32 // first registers
	// WriteDisable and ReadDisable are the bits of WR_DIS and RD_DIS that freeze
	// and hide all of it; -1 for none.
	WriteDisable, ReadDisable int
	// ReadHalves: ReadDisable hides the low half alone, the bit above it the other.
	ReadHalves bool
	Holds      Content
	Coding     CodingOf
	// Purpose is the field that says what the key in it is for; "" for none.
	Purpose string
	// Faults are the bits of the Status registers that complain about the block.
	Faults []Bits
}

// ReadMask are the bits of RD_DIS that hide the block, 0 where none does.
func (b Block) ReadMask() uint32 {
	switch {
	case b.ReadDisable < 0:
		return 0
	case b.ReadHalves:
		return 3 << b.ReadDisable
	}
	return 1 << b.ReadDisable
}

// Bits are some bits of one register of Efuse.Status.
type Bits struct {
	Register int // index
	Mask     uint32
}

// Content is what a block may hold, and so how it is told to people.
type Content int

// The contents.
const (
	Words  Content = iota // no secret: told word by word
	Secret                // a key: only its state is told
	Digest                // a key or the digest of a public one: told as a digest while it can be read
)

// CodingOf says how a block is stored.
type CodingOf int

// The codings of blocks.
const (
	Plain       CodingOf = iota // as it is; bits may be burned one by one
	ByField                     // as the field CODING_SCHEME says
	ReedSolomon                 // with check words, programmed once
)

// Field is one named group of fuse bits.
type Field struct {
	Name         string
	Block        int // index in Efuse.Blocks
	Word         int // 32-bit word of the block as read
	Bit          int // lowest bit in the word
	Width        int // bits; a field may run into the next word
	WriteDisable int // bit of WR_DIS that freezes it, -1 for none
	ReadDisable  int // bit of RD_DIS that hides it, -1 for none
	About        string
}

// Field finds a field by its name.
func (e *Efuse) Field(name string) (Field, bool) {
	f, ok := e.byName[name]
	return f, ok
}

// Block finds a block by its name; -1 for none.
func (e *Efuse) Block(name string) int {
	for i, b := range e.Blocks {
		if b.Name == name {
			return i
		}
	}
	return -1
}

// Value is what one field must hold.
type Value struct {
	Field string
	Value uint32
}

// Seal is how devices of the family are closed: what may be burned, and when.
type Seal struct {
	Keys map[Purpose]KeyUse
	// FlashKeys are the lengths in bits that a key for flash encryption can have, each
	// with the purposes of its parts, in the order of a key file: every part takes a
	// block of its own.
	FlashKeys map[int][]Purpose
	// Count is the field that switches encryption on while an odd number of its
	// bits is set; CountFull, and it can never be even again.
	Count     string
	CountFull uint32
	// Right is what else must hold for the encryption to be as strong as it can
	// be. Nothing outside is written for a chip without it.
	Right []Value
	// Release and Development are the fuses of the two modes, besides the key's.
	Release, Development []Value
	// Burnable are the fields that a plan may hold, by the stage that burns them:
	// "config", "count" or "uart". Bits of WR_DIS belong to "lock" unless LockBits
	// names another stage; "" there is never burned.
	Burnable map[string]string
	LockBits map[int]string
	// Late are fields whose bits protect or switch on: they are burned after the
	// values of their stage.
	Late []string
	// Never says why a field is not for this program, where there is more to say
	// than that.
	Never map[string]string
	// Why says of fuses, a bit of a mask as "WR_DIS.8", why a plan burns them,
	// where that does not follow from what they do.
	Why map[string]string
	// Open are the fuses that a release must have, and what a device without them
	// leaves open; those of OpenInDevelopment are left open by that mode.
	Open              []Reason
	OpenInDevelopment []string
	// Loader are the fuses that keep the serial loader from using the key.
	Loader []string
	// Untouched are the fields that no blank chip has; Harmless the bits of WR_DIS
	// that a blank one may have from its maker or a board test.
	Untouched []string
	Harmless  uint32
	// Foreign are fuses with which no device can be made, or kept, and what they do.
	Foreign []Reason
	// Lock is a bit of WR_DIS that every plan should have, and what can be done to
	// a device without it; -1 for none.
	Lock      int
	LockAbout string
	// Since are fuses that mean nothing, or something else, before a revision.
	Since map[string]Revision
	// Until are fuses that are not burned from a revision on, which has a better way.
	Until map[string]Revision
	// SecureBoot is how each version is switched on.
	SecureBoot map[int]SecureBoot
	// NeedsDigest are fuses that must not be burned while a block is empty.
	NeedsDigest map[string]string
}

// SecureBoot is how one version of secure boot is switched on.
type SecureBoot struct {
	Keys    []SigningKey // kinds of keys that may sign, the usual one first
	Purpose Purpose      // of what its block holds
	// More are the purposes of further digests, where the chip trusts several keys.
	More []Purpose
	// Revoke are the fields that take back the trust in each of the keys, the
	// first being Purpose's; none on a chip that trusts one.
	Revoke []string
	On     string // the field that switches it on
	// Always and Release are what a device needs besides, in every mode and in
	// release.
	Always, Release []Value
	// With are fuses that belong to a kind of key.
	With map[SigningKey][]Value
}

// Purposes are the purposes of all digests that the chip can hold, in order.
func (b SecureBoot) Purposes() []Purpose { return append([]Purpose{b.Purpose}, b.More...) }

// BootVersion is the version of secure boot in which the chip takes a kind of key; 0
// for none.
func (f *Family) BootVersion(k SigningKey) int {
	for version, boot := range f.Seal.SecureBoot {
		if slices.Contains(boot.Keys, k) {
			return version
		}
	}
	return 0
}

// Trusts is how many keys the chip can trust with a version of secure boot.
func (f *Family) Trusts(version int) int { return len(f.Seal.SecureBoot[version].Purposes()) }

// Reason is a field and what follows from it.
type Reason struct{ Field, About string }

// KeyUse is how a chip takes a key for one purpose.
type KeyUse struct {
	Blocks []string // that may hold it, in the order in which they are tried
	// Value is what the block's purpose field must hold; nothing where the block
	// has none.
	Value    uint32
	Reversed bool // fuses hold the key file's bytes in reverse
	Hidden   bool // the key must be read-protected
	// Named: firmware looks for the key in a block that it names by number, so that
	// the key goes there or nowhere.
	Named bool
	Bytes int // of a key; 0: as the coding scheme says
	// Hides are the bits of RD_DIS that hide the key, or would, of one that has a part of
	// its block alone, from Word on; 0: those of its block, all of which it has.
	Hides uint32
	Word  int
	With  []Value // fuses that belong to a key of this kind
	// Of is the key that this is a part of, of PartOf bytes, and At the first of them
	// that the part has; "": it is a key by itself.
	Of         Purpose
	PartOf, At int
}

// KeyBytes is the length of a key for a purpose under a coding scheme, of a part that
// of its key; 0 where the chip takes none.
func (f *Family) KeyBytes(p Purpose, c Coding) int {
	use, ok := f.Seal.Keys[p]
	switch {
	case !ok:
		return 0
	case use.PartOf != 0:
		return use.PartOf
	case use.Bytes != 0:
		return use.Bytes
	}
	return c.KeyBytes()
}

// WholeOf is the purpose of the key that one for a purpose is, or is a part of.
func (f *Family) WholeOf(p Purpose) Purpose { return cmp.Or(f.Seal.Keys[p].Of, p) }

// UsualKeyBits is the length of a key for flash encryption where nothing is said. On an
// ESP32 the coding scheme may leave less room.
const UsualKeyBits = 256

// FlashKeyParts are the purposes of the parts of a key for flash encryption of that
// length, 0 being the usual one.
func (f *Family) FlashKeyParts(bits int) []Purpose {
	return f.Seal.FlashKeys[cmp.Or(bits, UsualKeyBits)]
}

// CipherOf is the cipher of the flash with a key of that many bits.
func (f *Family) CipherOf(bits int) Cipher {
	if len(f.FlashKeyParts(bits)) > 1 {
		return XTS256
	}
	return f.Cipher
}

// newFamily makes the index of a literal.
func newFamily(f Family) *Family {
	f.Efuse.byName = make(map[string]Field, len(f.Efuse.Fields))
	for _, one := range f.Efuse.Fields {
		f.Efuse.byName[one.Name] = one
	}
	return &f
}

// Families are all families that the program knows, the ESP32 first.
var Families = []*Family{ESP32, ESP32S2, ESP32S3, ESP32C2, ESP32C3, ESP32C5, ESP32C6, ESP32C61, ESP32H2, ESP32P4}

// ByMagic finds the family whose ROM has a word at MagicAddr; nil for none.
func ByMagic(word uint32) *Family {
	for _, f := range Families {
		if f.Loader.Magic != 0 && f.Loader.Magic == word {
			return f
		}
	}
	return nil
}

// ByImageID finds the family that calls itself by an ID; nil for none.
func ByImageID(id uint32) *Family {
	for _, f := range Families {
		if uint32(f.ImageID) == id {
			return f
		}
	}
	return nil
}

// ByName finds a family; nil for none.
func ByName(name string) *Family {
	for _, f := range Families {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Known is the family; the ESP32 where none is named: a job file that names no
// chip means it, and so does every entry of a ledger that tells of none.
func Known(f *Family) *Family {
	if f == nil {
		return ESP32
	}
	return f
}

// Recorded finds the family that the ledger names for a device. Entries of old name
// none: they are of ESP32s.
func Recorded(name string) (*Family, error) {
	f := ByName(name)
	if f == nil && name != "" {
		return nil, fmt.Errorf("the ledger names the chip %q, which this program does not know", name)
	}
	return Known(f), nil
}

// Names are the names of all families.
func Names() []string {
	var out []string
	for _, f := range Families {
		out = append(out, f.Name)
	}
	return out
}
