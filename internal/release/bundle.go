// Package release is what goes to devices in the field: slot bundles, manifests,
// releases, and who is offered which. Its files are for devices that we do not
// build: docs/bundle.md has the forms byte by byte.
package release

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"station/internal/chip"
)

// The form of a slot bundle, version 1 (docs/bundle.md).
const (
	BundleHeaderSize = 4096
	AnyAddress       = 0xffffffff // of a slot whose cipher does not look at the address
	MaxSlots         = 48
	DescriptorSize   = 256

	bundleMagic   = "SLOTBNDL"
	bundleVersion = 1
	signatureSize = 64
	maxProduct    = 63
	maxImage      = 16 << 20 // what the cipher of the flash reaches
	slotSize      = 64
	slotPad       = 32 // slots are padded to a multiple
	offsetAlign   = 4096
	addressAlign  = 0x1000

	atVersion    = 8
	atCount      = 10
	atHeaderSize = 12
	atChip       = 16
	atPlainSize  = 20
	atPlain      = 24
	atCheck      = 56
	atProduct    = 64
	atDescriptor = 128
	atSigner     = 384
	atSlots      = 512
	atSignature  = BundleHeaderSize - signatureSize

	slotAtOffset = 4
	slotAtSize   = 8
	slotAtCipher = 12
	slotAtConfig = 13
	slotAtDigest = 16
)

// CipherOf is a cipher of the flash as a bundle names it.
type CipherOf byte

// The ciphers of the flash.
const (
	CipherESP32  CipherOf = 1 // AES-256 with a key tweaked by the address
	CipherXTS128 CipherOf = 2
	CipherXTS256 CipherOf = 3
)

// CipherFor is how a bundle names the cipher of a chip.
func CipherFor(c chip.Cipher) CipherOf {
	return map[chip.Cipher]CipherOf{chip.TweakedAES: CipherESP32, chip.XTS128: CipherXTS128, chip.XTS256: CipherXTS256}[c]
}

// Bundle is the header of a slot bundle.
type Bundle struct {
	Chip       uint16 // as in an image's header
	PlainSize  uint32 // of the plain app with its signature
	Plain      [sha256.Size]byte
	Check      [8]byte // check value of the flash key
	Product    string
	Descriptor [DescriptorSize]byte
	Signer     [sha256.Size]byte // see SignerID
	Slots      []Slot
	Signature  [signatureSize]byte
}

// Slot is the app as the flash holds it at one address.
type Slot struct {
	Address uint32 // AnyAddress where it does not count
	Offset  uint32 // in the bundle
	Size    uint32
	Cipher  CipherOf
	Config  byte // FLASH_CRYPT_CONFIG
	Digest  [sha256.Size]byte
}

// Size is how long the whole bundle is.
func (b *Bundle) Size() int64 {
	end := int64(BundleHeaderSize)
	for _, s := range b.Slots {
		end = max(end, int64(s.Offset)+int64(s.Size))
	}
	return end
}

// Header is the bundle's first 4096 bytes.
func (b *Bundle) Header() []byte {
	h := make([]byte, BundleHeaderSize)
	copy(h, bundleMagic)
	le := binary.LittleEndian
	le.PutUint16(h[atVersion:], bundleVersion)
	le.PutUint16(h[atCount:], uint16(len(b.Slots)))
	le.PutUint32(h[atHeaderSize:], BundleHeaderSize)
	le.PutUint16(h[atChip:], b.Chip)
	le.PutUint32(h[atPlainSize:], b.PlainSize)
	copy(h[atPlain:], b.Plain[:])
	copy(h[atCheck:], b.Check[:])
	copy(h[atProduct:atProduct+maxProduct], b.Product)
	copy(h[atDescriptor:], b.Descriptor[:])
	copy(h[atSigner:], b.Signer[:])
	for i, s := range b.Slots {
		s.put(h[atSlots+i*slotSize:])
	}
	copy(h[atSignature:], b.Signature[:])
	return h
}

func (s Slot) put(h []byte) {
	binary.LittleEndian.PutUint32(h, s.Address)
	binary.LittleEndian.PutUint32(h[slotAtOffset:], s.Offset)
	binary.LittleEndian.PutUint32(h[slotAtSize:], s.Size)
	h[slotAtCipher], h[slotAtConfig] = byte(s.Cipher), s.Config
	copy(h[slotAtDigest:], s.Digest[:])
}

// Signed are the bytes of a header that its signature is over.
func Signed(header []byte) []byte { return header[:atSignature] }

// CheckProduct tells what is wrong with the name of a product: it stands in
// bundles, in addresses and in names of files.
func CheckProduct(name string) error {
	switch {
	case name == "":
		return errors.New("product: it has no name")
	case len(name) > maxProduct:
		return fmt.Errorf("product %q: its name is longer than %d bytes", name, maxProduct)
	}
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && r != '-' && r != '_' && r != '.' || name[0] == '.' {
			return fmt.Errorf("product %q: its name stands in addresses and names of files: want letters, digits, - _ . and no dot first", name)
		}
	}
	return nil
}

// check holds what a header says against the form. The error has every fault.
func (b *Bundle) check() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf("bundle: "+format, args...)) }
	if b.PlainSize == 0 || b.PlainSize > maxImage {
		fault("the plain app has %d bytes, want 1 to %d", b.PlainSize, maxImage)
	}
	if !utf8.ValidString(b.Product) || b.Product == "" || len(b.Product) > maxProduct {
		fault("the product's name is not 1 to %d bytes of UTF-8", maxProduct)
	}
	if n := len(b.Slots); n == 0 || n > MaxSlots {
		fault("%d slots, want 1 to %d", n, MaxSlots)
	}
	for i, s := range b.Slots {
		if why := s.check(b.PlainSize); why != "" {
			fault("slot %d: %s", i, why)
		}
	}
	if !slices.IsSortedFunc(b.Slots, compareSlots) {
		fault("the slots are not in the order of config and address")
	}
	for i := 1; i < len(b.Slots); i++ {
		if compareSlots(b.Slots[i-1], b.Slots[i]) == 0 {
			fault("slot %d: it is there twice", i)
		}
	}
	if fault := overlap(b.Slots); fault != nil {
		faults = append(faults, fault)
	}
	return errors.Join(faults...)
}

// Where is the slot's address, in words.
func (s Slot) Where() string {
	if s.Address == AnyAddress {
		return "any address"
	}
	return fmt.Sprintf("%#x", s.Address)
}
