package release

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"
)

// IsBundle tells whether a file begins with the magic of a slot bundle.
func IsBundle(b []byte) bool { return bytes.HasPrefix(b, []byte(bundleMagic)) }

// ParseBundle reads the header of a bundle, its first 4096 bytes. It does not check the
// signature; Verify does. The error names every fault.
func ParseBundle(h []byte) (*Bundle, error) {
	le := binary.LittleEndian
	switch {
	case !IsBundle(h):
		return nil, errors.New("bundle: it does not begin with " + bundleMagic)
	case len(h) < BundleHeaderSize:
		return nil, fmt.Errorf("bundle: cut short: %d bytes, the header has %d", len(h), BundleHeaderSize)
	case le.Uint16(h[atVersion:]) != bundleVersion:
		return nil, fmt.Errorf("bundle: version %d; this program knows %d", le.Uint16(h[atVersion:]), bundleVersion)
	case le.Uint32(h[atHeaderSize:]) != BundleHeaderSize:
		return nil, fmt.Errorf("bundle: a header of %d bytes, want %d", le.Uint32(h[atHeaderSize:]), BundleHeaderSize)
	}
	b := &Bundle{Chip: le.Uint16(h[atChip:]), PlainSize: le.Uint32(h[atPlainSize:])}
	copy(b.Plain[:], h[atPlain:])
	copy(b.Check[:], h[atCheck:])
	copy(b.Descriptor[:], h[atDescriptor:])
	copy(b.Signer[:], h[atSigner:])
	copy(b.Signature[:], h[atSignature:])
	product, _, _ := bytes.Cut(h[atProduct:atProduct+maxProduct], []byte{0})
	b.Product = string(product)
	for i := range min(int(le.Uint16(h[atCount:])), MaxSlots) {
		b.Slots = append(b.Slots, parseSlot(h[atSlots+i*slotSize:]))
	}
	err := b.check()
	if n := int(le.Uint16(h[atCount:])); n > MaxSlots {
		err = errors.Join(err, fmt.Errorf("bundle: %d slots, want 1 to %d", n, MaxSlots))
	}
	if err == nil && !bytes.Equal(b.Header(), h[:BundleHeaderSize]) {
		err = errors.New("bundle: there is something in the header where zeros must be")
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// parseSlot reads the slot's row of a header.
func parseSlot(h []byte) Slot {
	le := binary.LittleEndian
	s := Slot{Address: le.Uint32(h), Offset: le.Uint32(h[slotAtOffset:]), Size: le.Uint32(h[slotAtSize:]), Cipher: CipherOf(h[slotAtCipher]), Config: h[slotAtConfig]}
	copy(s.Digest[:], h[slotAtDigest:])
	return s
}

// check tells what is wrong with a slot of an app of plain bytes; "" if nothing is.
func (s Slot) check(plain uint32) string {
	switch {
	case s.Address != AnyAddress && (s.Address%addressAlign != 0 || int64(s.Address)+int64(s.Size) > maxImage && s.Cipher == CipherESP32):
		return fmt.Sprintf("address %#x: want a multiple of %#x, and an end that the cipher reaches", s.Address, addressAlign)
	case s.Cipher < CipherESP32 || s.Cipher > CipherXTS256:
		return fmt.Sprintf("cipher %d is not known", s.Cipher)
	case s.Config > 0xf || s.Cipher != CipherESP32 && s.Config != 0:
		return fmt.Sprintf("config %#x does not go with cipher %d", s.Config, s.Cipher)
	case (s.Address == AnyAddress) != (s.Cipher == CipherESP32 && s.Config == 0):
		return fmt.Sprintf("address %#x does not go with cipher %d and config %#x", s.Address, s.Cipher, s.Config)
	case s.Offset%offsetAlign != 0 || s.Offset < BundleHeaderSize:
		return fmt.Sprintf("it begins at %d: want a multiple of %d behind the header", s.Offset, offsetAlign)
	case int64(s.Size) != padded(int64(plain)):
		return fmt.Sprintf("it has %d bytes, the plain app %d: want that, up to the next multiple of %d", s.Size, plain, slotPad)
	}
	return ""
}

// padded is n rounded up to a multiple of slotPad.
func padded(n int64) int64 { return (n + slotPad - 1) / slotPad * slotPad }

// compareSlots is the order of slots in a header.
func compareSlots(a, b Slot) int {
	return cmp.Or(cmp.Compare(a.Cipher, b.Cipher), cmp.Compare(a.Config, b.Config), cmp.Compare(a.Address, b.Address))
}

// overlap tells whether two slots use the same bytes of the bundle.
func overlap(slots []Slot) error {
	list := slices.SortedFunc(slices.Values(slots), func(a, b Slot) int { return cmp.Compare(a.Offset, b.Offset) })
	for i := 1; i < len(list); i++ {
		if int64(list[i-1].Offset)+int64(list[i-1].Size) > int64(list[i].Offset) {
			return fmt.Errorf("bundle: the bytes of two slots overlap at offset %d", list[i].Offset)
		}
	}
	return nil
}

// SignerID is a bundle's name for a P-256 public key: the SHA-256 of X and Y, 32 bytes
// each.
func SignerID(key *ecdsa.PublicKey) [sha256.Size]byte {
	point, err := key.Bytes()
	if err != nil { // not a point of the curve: no signature is of it
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(point[1:])
}

// The errors of a signature that does not match.
var (
	ErrOtherSigner = errors.New("another key signed it")
	ErrSignature   = errors.New("the signature does not hold: the header was changed")
)

// Verify returns nil if the key signed the bundle's header; else ErrOtherSigner or
// ErrSignature, wrapped.
func (b *Bundle) Verify(key *ecdsa.PublicKey) error {
	if key.Curve != elliptic.P256() {
		return errors.New("bundle: the key is not on P-256")
	}
	if b.Signer != SignerID(key) {
		return fmt.Errorf("bundle: %w", ErrOtherSigner)
	}
	digest := sha256.Sum256(Signed(b.Header()))
	r, s := new(big.Int).SetBytes(b.Signature[:32]), new(big.Int).SetBytes(b.Signature[32:])
	if !ecdsa.Verify(key, digest[:], r, s) {
		return fmt.Errorf("bundle: %w", ErrSignature)
	}
	return nil
}

// SignedByOne is Verify with several keys, of which one must have signed the header.
func (b *Bundle) SignedByOne(keys []*ecdsa.PublicKey) error {
	err := fmt.Errorf("bundle: %w", ErrOtherSigner)
	for _, key := range keys {
		if SignerID(key) == b.Signer {
			err = b.Verify(key)
		}
	}
	return err
}

// CheckBody checks what follows the header in a bundle of size bytes: the size, zeros
// between the slots, and the digest of every slot. The error names every fault. If each
// is not nil, it is called after each slot with the number of bytes read so far, header
// included.
func (b *Bundle) CheckBody(r io.ReadSeeker, size int64, each func(done int64)) error {
	if size != b.Size() {
		return fmt.Errorf("bundle: it has %d bytes, the header says %d", size, b.Size())
	}
	var faults []error
	list := slices.SortedFunc(slices.Values(b.Slots), func(a, b Slot) int { return cmp.Compare(a.Offset, b.Offset) })
	at := int64(BundleHeaderSize)
	if _, err := r.Seek(at, io.SeekStart); err != nil {
		return fmt.Errorf("bundle: read: %w", err)
	}
	for _, s := range list {
		if err := zeros(io.LimitReader(r, int64(s.Offset)-at)); err != nil {
			faults = append(faults, fmt.Errorf("bundle: before offset %d: %w", s.Offset, err))
		}
		h := sha256.New()
		if _, err := io.CopyN(h, r, int64(s.Size)); err != nil {
			return fmt.Errorf("bundle: read: %w", err)
		}
		if !bytes.Equal(h.Sum(nil), s.Digest[:]) {
			faults = append(faults, fmt.Errorf("bundle: the slot for %#x, config %#x, was changed: its SHA-256 is another one", s.Address, s.Config))
		}
		at = int64(s.Offset) + int64(s.Size)
		if each != nil {
			each(at)
		}
	}
	return errors.Join(faults...)
}

// zeros checks that r has nothing but zeros.
func zeros(r io.Reader) error {
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		for _, x := range buf[:n] {
			if x != 0 {
				return errors.New("there is something where zeros must be")
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}
