// Package secureboot signs images for the ESP32's secure boot and verifies
// them: version 1 (ECDSA on P-256, for apps and partition tables) and version
// 2 (for apps and bootloaders: RSA-3072 with PSS on an ESP32 from revision 3 and
// most chips after it, ECDSA on others); and it makes the digest by which a chip
// knows its bootloader with version 1. It reads no file and holds no key: who
// signs is a crypto.Signer.
package secureboot

import (
	"bytes"
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
	// KeyDigests are, with version 2, those of the keys that signed, in the
	// order of their blocks. BLOCK2 of an ESP32 must hold the first, in this order of
	// bytes: burned as secure_boot_v2 it is not reversed. A later chip must hold any.
	KeyDigests [][sha256.Size]byte
}

// ErrKeyNeeded: the file has a version 1 signature, which can be verified only
// with the public key at hand.
var ErrKeyNeeded = errors.New("a version 1 signature does not tell its key")

// Sign returns the image with its signature after it: with version 2 of each
// key, in that order, up to three. The ESP32 reads the first alone; the others
// are for devices whose BLOCK2 has another key. Only an ESP image or, with
// version 1, a partition table is signed: whole, not encrypted, unsigned, and
// ending where the chip will look for the signature; the error has every fault.
func Sign(image []byte, keys ...crypto.Signer) ([]byte, error) {
	version, err := versionOf(keys)
	if err != nil {
		return nil, err
	}
	if err := signable(image, version); err != nil {
		return nil, err
	}
	var out []byte
	if version == V1 {
		out, err = signV1(image, keys[0])
	} else {
		out, err = signV2(image, keys...)
	}
	if err != nil {
		return nil, fmt.Errorf("secure boot: sign: %w", err)
	}
	return noticed(out, keys[0].Public())
}

// Append adds the signature of one more key to a file that has one of version
// 2: two people can sign who keep their keys apart. It refuses a file whose
// signatures are not good.
func Append(file []byte, key crypto.Signer) ([]byte, error) {
	if version, err := VersionOf(key.Public()); err != nil {
		return nil, err
	} else if version != V2 {
		return nil, errors.New("secure boot: sign: version 1 has one signature; only version 2 takes another one")
	}
	s, err := Verify(file, nil)
	if err != nil {
		return nil, fmt.Errorf("secure boot: sign: nothing is added to a signature that is not good: %w", err)
	}
	n := len(s.KeyDigests)
	digest, err := KeyDigest(key.Public().(*rsa.PublicKey))
	switch {
	case err != nil:
		return nil, err
	case n == maxBlocks:
		return nil, fmt.Errorf("secure boot: sign: the file has %d signatures, and there is no room for more", n)
	case slices.Contains(s.KeyDigests, digest):
		return nil, errors.New("secure boot: sign: this key has signed the file already")
	}
	block, err := blockV2(s.Digest[:], key)
	if err != nil {
		return nil, fmt.Errorf("secure boot: sign: %w", err)
	}
	out := slices.Clone(file)
	copy(out[s.Signed+n*blockSize:], block)
	return noticed(out, nil)
}

// noticed verifies a new signature: a token or a memory that is at fault is
// noticed here, not by the chip.
func noticed(file []byte, key crypto.PublicKey) ([]byte, error) {
	if _, err := Verify(file, key); err != nil {
		return nil, fmt.Errorf("secure boot: sign: the new signature does not verify: %w", err)
	}
	return file, nil
}

// versionOf is the version that all the keys sign for.
func versionOf(keys []crypto.Signer) (version Version, err error) {
	if len(keys) == 0 || len(keys) > maxBlocks {
		return 0, fmt.Errorf("secure boot: sign: %d keys, want 1 to %d", len(keys), maxBlocks)
	}
	for i, key := range keys {
		v, err := VersionOf(key.Public())
		if err != nil {
			return 0, err
		}
		if version = v; v == V1 && len(keys) > 1 {
			return 0, errors.New("secure boot: sign: version 1 has one signature: give one key")
		}
		for _, other := range keys[:i] {
			if other.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
				return 0, errors.New("secure boot: sign: the same key twice")
			}
		}
	}
	return version, nil
}

// Verify verifies a file's signature as the ESP32 would. key is the one that
// must have signed, nil for whatever key a version 2 signature brings along
// (ErrKeyNeeded with version 1). The error has every fault; the signature is
// what could be read nevertheless, nil where there is none.
func Verify(file []byte, key crypto.PublicKey) (*Signature, error) { return VerifyFor(1, file, key) }

// VerifyFor is Verify for a chip that looks at so many signatures, one of which
// must be of the key, and all of which must be good.
func VerifyFor(blocks int, file []byte, key crypto.PublicKey) (*Signature, error) {
	version := V2
	if key != nil {
		var err error
		if version, err = VersionOf(key); err != nil {
			return nil, err
		}
	}
	var f faults
	length := f.image(file)
	at := version.signatureAt(file, length)
	if key == nil && !hasV2(file, at) && hasV1(file, V1.signatureAt(file, length)) {
		return nil, ErrKeyNeeded
	}
	if version == V1 {
		return f.verifyV1(file, at, key.(*ecdsa.PublicKey)), f.err()
	}
	want, _ := key.(*rsa.PublicKey)
	return f.verifyV2(file, at, want, blocks), f.err()
}

// end is where the chip looks for the signature behind an image of n bytes.
func (v Version) end(n int) int {
	if v == V1 {
		return n
	}
	return (n + sectorSize - 1) / sectorSize * sectorSize
}

// signatureAt is where the signature of a file begins: behind its ESP image of that
// length, behind its partition table, or at the end of a file that is neither.
func (v Version) signatureAt(file []byte, length int) int {
	switch {
	case length > 0:
		return v.end(length)
	case v == V1 && isTable(file):
		return firmware.TableSize
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

// isTable reports a file that begins like a partition table.
func isTable(b []byte) bool { return bytes.HasPrefix(b, []byte{0xaa, 0x50}) }

// signable says why the chip would not find, or not heed, a signature behind
// the image.
func signable(b []byte, v Version) error {
	switch {
	case len(b) == 0:
		return errors.New("secure boot: sign: the file is empty")
	case isTable(b):
		return signableTable(b, v)
	case b[0] != imageMagic:
		return errors.New("secure boot: sign: this is neither an ESP image nor a partition table, and the chip checks nothing else. If it is encrypted already: sign first, encrypt last")
	}
	i, err := firmware.ParseImage(b)
	if err != nil {
		return fmt.Errorf("secure boot: sign: %w", err)
	}
	at := v.end(i.Length)
	switch {
	case v == V1 && i.Bootloader != nil:
		return errors.New("secure boot: sign: this is a bootloader. Version 1 verifies no signature of it but a digest, which \"station run\" makes for each device and \"station image digest\" for one key; sign the app")
	case hasV2(b, V2.end(i.Length)) || hasV1(b, i.Length):
		return errors.New("secure boot: sign: the image is signed already; sign the one that the build made without a signature")
	case len(b) > at:
		return fmt.Errorf("secure boot: sign: %d bytes follow the image, which ends at %#x: the chip would look for the signature there and not find it", len(b)-i.Length, i.Length)
	}
	return nil
}

// signableTable is signable for a partition table, which only version 1 signs.
func signableTable(b []byte, v Version) error {
	switch {
	case v != V1:
		return errors.New("secure boot: sign: this is a partition table, and version 2 checks no signature of it; it is protected by flash encryption alone")
	case len(b) == firmware.TableSize+sizeV1:
		return errors.New("secure boot: sign: the partition table is signed already; sign the one that the build made without a signature")
	case len(b) != firmware.TableSize:
		return fmt.Errorf("secure boot: sign: the partition table has %d bytes; padded with FF, as the build makes it, it has %d, and the chip looks for the signature behind them", len(b), firmware.TableSize)
	}
	if _, err := firmware.ParseBinaryTable("partition table", b, firmware.TableOptions{}); err != nil {
		return fmt.Errorf("secure boot: sign: %w", err)
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
