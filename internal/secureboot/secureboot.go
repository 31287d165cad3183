// Package secureboot signs images for the ESP32's secure boot and verifies
// them: version 1 (ECDSA on P-256, for apps) and version 2 (RSA-3072 with PSS,
// chips from revision 3). It reads no file and holds no key: who signs is a
// crypto.Signer. The digest that version 1 keeps of the bootloader is not
// made here; the chip or the ESP-IDF build makes it.
package secureboot

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"station/internal/firmware"
)

// Version is that of secure boot. Its keys are of one kind, so the key decides.
type Version int

// The versions of the ESP32.
const (
	V1 Version = 1 // ECDSA on P-256
	V2 Version = 2 // RSA-3072
)

// VersionOf tells which version a public key signs for.
func VersionOf(key crypto.PublicKey) (Version, error) {
	switch key := key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return 0, fmt.Errorf("secure boot: an EC key on %s: version 1 wants P-256", key.Params().Name)
		}
		return V1, nil
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n != modulusBits {
			return 0, fmt.Errorf("secure boot: an RSA key of %d bits: version 2 of the ESP32 wants %d", n, modulusBits)
		}
		return V2, nil
	}
	return 0, fmt.Errorf("secure boot: a key of type %T: version 1 wants EC P-256, version 2 RSA-%d", key, modulusBits)
}

// Signature is what the signature of a file says.
type Signature struct {
	Version Version
	Signed  int               // bytes that it covers, with their padding
	Digest  [sha256.Size]byte // SHA-256 that was signed; version 1 does not keep it, so it is computed
	// KeyDigest is, with version 2, what BLOCK2 must hold, in this order of
	// bytes: burned as secure_boot_v2 it is not reversed.
	KeyDigest [sha256.Size]byte
}

// ErrKeyNeeded: the file has a version 1 signature, which can be verified only
// with the public key at hand.
var ErrKeyNeeded = errors.New("a version 1 signature does not tell its key")

// Sign returns the image with its signature after it. An ESP image must be
// whole, still unsigned, and end where the chip will look for the signature;
// the error has every fault. Any other content is signed as it is.
func Sign(image []byte, key crypto.Signer) ([]byte, error) {
	version, err := VersionOf(key.Public())
	if err != nil {
		return nil, err
	}
	if err := signable(image, version); err != nil {
		return nil, err
	}
	sign := signV2
	if version == V1 {
		sign = signV1
	}
	out, err := sign(image, key)
	if err != nil {
		return nil, fmt.Errorf("secure boot: sign: %w", err)
	}
	// A token or a memory that is at fault is noticed here, not by the chip.
	if _, err := Verify(out, key.Public()); err != nil {
		return nil, fmt.Errorf("secure boot: sign: the new signature does not verify: %w", err)
	}
	return out, nil
}

// Verify verifies a file's signature as the chip would. key is the one that
// must have signed, nil for whatever key a version 2 signature brings along
// (ErrKeyNeeded with version 1). The error has every fault; the signature is
// what could be read nevertheless, nil where there is none.
func Verify(file []byte, key crypto.PublicKey) (*Signature, error) {
	version := V2
	if key != nil {
		var err error
		if version, err = VersionOf(key); err != nil {
			return nil, err
		}
	}
	var f faults
	length := f.image(file)
	at := version.place(file, length)
	if key == nil && !hasV2(file, at) && hasV1(file, V1.place(file, length)) {
		return nil, ErrKeyNeeded
	}
	if version == V1 {
		return f.verifyV1(file, at, key.(*ecdsa.PublicKey)), f.err()
	}
	want, _ := key.(*rsa.PublicKey)
	return f.verifyV2(file, at, want), f.err()
}

// end is where the chip looks for the signature behind an image of n bytes.
func (v Version) end(n int) int {
	if v == V1 {
		return n
	}
	return (n + sectorSize - 1) / sectorSize * sectorSize
}

// place is where the signature of a file begins: behind its ESP image of that
// length, or at the end of a file that is none.
func (v Version) place(file []byte, length int) int {
	switch {
	case length > 0:
		return v.end(length)
	case v == V1:
		return max(0, len(file)-sizeV1)
	}
	return max(0, len(file)-sectorSize)
}

// image is the length of a file's ESP image, 0 where there is none, and adds
// what is wrong with it.
func (f *faults) image(file []byte) int {
	if len(file) == 0 || file[0] != imageMagic {
		return 0
	}
	i, err := firmware.ParseImage(file)
	for _, fault := range firmware.Faults(err) {
		f.add("%s", fault.Text)
	}
	if i == nil {
		return 0
	}
	return i.Length
}

// imageMagic begins every ESP image.
const imageMagic = 0xe9

// signable says why the chip would not find, or not heed, a signature behind
// the image.
func signable(b []byte, v Version) error {
	if len(b) == 0 {
		return errors.New("secure boot: sign: the file is empty")
	}
	if b[0] != imageMagic {
		return nil
	}
	i, err := firmware.ParseImage(b)
	if err != nil {
		return fmt.Errorf("secure boot: sign: %w", err)
	}
	at := v.end(i.Length)
	switch {
	case v == V1 && i.Bootloader != nil:
		return errors.New("secure boot: sign: this is a bootloader. Version 1 verifies no signature of it but a digest, which the chip makes at its first boot; sign the app")
	case hasV2(b, V2.end(i.Length)) || hasV1(b, i.Length):
		return errors.New("secure boot: sign: the image is signed already; sign the one that the build made without a signature")
	case len(b) > at:
		return fmt.Errorf("secure boot: sign: %d bytes follow the image, which ends at %#x: the chip would look for the signature there and not find it", len(b)-i.Length, i.Length)
	}
	return nil
}

// faults collects all that is wrong with a file.
type faults struct{ list []error }

func (f *faults) add(format string, args ...any) {
	f.list = append(f.list, fmt.Errorf(format, args...))
}

func (f *faults) err() error { return errors.Join(f.list...) }

// after names what follows the signature, but for erased flash.
func (f *faults) after(rest []byte) {
	if !erased(rest) {
		f.add("%d bytes follow the signature", len(rest))
	}
}

func erased(b []byte) bool {
	return !slices.ContainsFunc(b, func(c byte) bool { return c != 0xff })
}
