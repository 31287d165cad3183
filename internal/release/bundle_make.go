package release

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"slices"

	"station/internal/firmware"
)

// Target is a place in the flash, and a cipher setting, for which a bundle shall have a
// slot.
type Target struct {
	Address uint32
	Cipher  CipherOf
	Config  byte // FLASH_CRYPT_CONFIG
}

// BundleOf is what Write makes a bundle from.
type BundleOf struct {
	App     []byte // plain, with its secure boot signature
	Product string
	Check   [8]byte // check value of the flash key
	Targets []Target
	// Encrypt encrypts the app as the flash at the target holds it. It may change plain.
	Encrypt func(t Target, plain []byte) ([]byte, error)
	Signer  crypto.Signer // P-256
	// Progress, if not nil, is called after each slot with how many are done.
	Progress func(done, total int)
}

// Write writes the bundle to w: the slots one after the other, then the header, so that
// an interrupted file has no valid header.
func (m BundleOf) Write(w io.WriterAt) (*Bundle, error) {
	b, err := m.header()
	if err != nil {
		return nil, err
	}
	at := int64(BundleHeaderSize)
	targets := normalize(m.Targets)
	for i, t := range targets {
		s, err := m.slot(w, t, at)
		if err != nil {
			return nil, err
		}
		b.Slots = append(b.Slots, s)
		at = (at + int64(s.Size) + offsetAlign - 1) / offsetAlign * offsetAlign
		if m.Progress != nil {
			m.Progress(i+1, len(targets))
		}
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	if err := b.sign(m.Signer); err != nil {
		return nil, err
	}
	if _, err := w.WriteAt(b.Header(), 0); err != nil {
		return nil, fmt.Errorf("bundle: write: %w", err)
	}
	return b, nil
}

// header is the header without its slots and signature.
func (m BundleOf) header() (*Bundle, error) {
	if err := CheckProduct(m.Product); err != nil {
		return nil, err
	}
	image, err := firmware.ParseImage(m.App)
	if err != nil {
		return nil, fmt.Errorf("bundle: the app: %w", err)
	}
	if image.App == nil {
		return nil, errors.New("bundle: the app has no descriptor")
	}
	if len(m.App) > maxImage {
		return nil, fmt.Errorf("bundle: the app has %d bytes, more than %d", len(m.App), maxImage)
	}
	b := &Bundle{Chip: image.ChipID, PlainSize: uint32(len(m.App)), Plain: sha256.Sum256(m.App), Check: m.Check, Product: m.Product}
	copy(b.Descriptor[:], m.App[firmware.FirstData:])
	return b, nil
}

// slot encrypts the app for one target and writes it at that offset of the bundle.
func (m BundleOf) slot(w io.WriterAt, t Target, at int64) (Slot, error) {
	plain := slices.Concat(m.App, make([]byte, padded(int64(len(m.App)))-int64(len(m.App))))
	for i := len(m.App); i < len(plain); i++ {
		plain[i] = 0xff
	}
	cipher, err := m.Encrypt(t, plain)
	if err != nil {
		return Slot{}, fmt.Errorf("bundle: the slot for %#x: %w", t.Address, err)
	}
	if _, err := w.WriteAt(cipher, at); err != nil {
		return Slot{}, fmt.Errorf("bundle: write: %w", err)
	}
	return Slot{Address: t.Address, Offset: uint32(at), Size: uint32(len(cipher)), Cipher: t.Cipher, Config: t.Config, Digest: sha256.Sum256(cipher)}, nil
}

// normalize sorts the targets and leaves out duplicates. With the ESP32's cipher and
// config 0 the ciphertext does not depend on the address, so such targets become
// AnyAddress.
func normalize(targets []Target) (list []Target) {
	for _, t := range targets {
		if t.Cipher == CipherESP32 && t.Config == 0 {
			t.Address = AnyAddress
		}
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Target) int {
		return compareSlots(Slot{Address: a.Address, Cipher: a.Cipher, Config: a.Config}, Slot{Address: b.Address, Cipher: b.Cipher, Config: b.Config})
	})
	return slices.Compact(list)
}

// sign signs the header with a P-256 key.
func (b *Bundle) sign(key crypto.Signer) error {
	public, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || public.Curve != elliptic.P256() {
		return errors.New("bundle: the signing key is not on P-256")
	}
	b.Signer = SignerID(public)
	digest := sha256.Sum256(Signed(b.Header()))
	der, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
	if err != nil {
		return fmt.Errorf("bundle: sign: %w", err)
	}
	var sig struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(der, &sig); err != nil || len(rest) != 0 || sig.R.BitLen() > 256 || sig.S.BitLen() > 256 {
		return errors.New("bundle: the key gave a signature that is none")
	}
	sig.R.FillBytes(b.Signature[:32])
	sig.S.FillBytes(b.Signature[32:])
	return b.Verify(public)
}
