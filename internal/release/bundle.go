// Package release is what updates of devices in the field are made of: slot bundles,
// manifests, releases, and the rollouts that decide which devices are offered a release.
// A release has its firmware in one or more forms, each of them one file. Other people's
// devices read these files: docs/bundle.md has the format of bundles and manifests byte
// by byte.
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

// The format of a slot bundle, version 1 (docs/bundle.md). Sizes and offsets are in bytes.
const (
	BundleHeaderSize = 4096
	AnyAddress       = 0xffffffff // address of a slot whose ciphertext is the same at every address
	MaxSlots         = 48
	DescriptorSize   = 256 // of an app's descriptor, ESP-IDF's esp_app_desc_t

	bundleMagic   = "SLOTBNDL"
	bundleVersion = 1
	signatureSize = 64
	maxProduct    = 63
	maxImage      = 16 << 20 // the largest address range that flash encryption covers
	slotSize      = 64
	slotPad       = 32 // the size of a slot is a multiple of it
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

// CipherOf is the number that a bundle has for a cipher of flash encryption.
type CipherOf byte

// The ciphers of flash encryption.
const (
	CipherESP32  CipherOf = 1 // AES-256 with a key tweaked by the address
	CipherXTS128 CipherOf = 2
	CipherXTS256 CipherOf = 3
)

// CipherFor is the number for the cipher of a chip.
func CipherFor(c chip.Cipher) CipherOf {
	return map[chip.Cipher]CipherOf{chip.TweakedAES: CipherESP32, chip.XTS128: CipherXTS128, chip.XTS256: CipherXTS256}[c]
}

// Bundle is the header of a slot bundle: a file that holds an app already encrypted as
// flash encryption would, for devices that share a flash key. It has a slot for each
// address and cipher setting that a device may need.
type Bundle struct {
	Chip       uint16            // chip ID as in the header of an ESP image
	PlainSize  uint32            // bytes of the plain app with its secure boot signature
	Plain      [sha256.Size]byte // SHA-256 of the same
	Check      [8]byte           // check value of the flash key
	Product    string
	Descriptor [DescriptorSize]byte
	Signer     [sha256.Size]byte // see SignerID
	Slots      []Slot
	Signature  [signatureSize]byte
}

// Slot is the app, encrypted for one address.
type Slot struct {
	Address uint32 // in the flash; AnyAddress where the ciphertext does not depend on it
	Offset  uint32 // of its bytes in the bundle
	Size    uint32 // in bytes, padding included
	Cipher  CipherOf
	Config  byte              // FLASH_CRYPT_CONFIG
	Digest  [sha256.Size]byte // SHA-256 of its bytes
}

// Size is the size of the whole bundle in bytes.
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

// put writes the slot's row of a header into h.
func (s Slot) put(h []byte) {
	binary.LittleEndian.PutUint32(h, s.Address)
	binary.LittleEndian.PutUint32(h[slotAtOffset:], s.Offset)
	binary.LittleEndian.PutUint32(h[slotAtSize:], s.Size)
	h[slotAtCipher], h[slotAtConfig] = byte(s.Cipher), s.Config
	copy(h[slotAtDigest:], s.Digest[:])
}

// Signed are the bytes of a header that the signature covers.
func Signed(header []byte) []byte { return header[:atSignature] }

// CheckProduct tells what is wrong with the name of a product, which becomes a part of
// bundles, URLs and file names; nil if nothing is.
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

// check checks a header against the format. The error names every fault.
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

// Where is the slot's address as people read it.
func (s Slot) Where() string {
	if s.Address == AnyAddress {
		return "any address"
	}
	return fmt.Sprintf("%#x", s.Address)
}
