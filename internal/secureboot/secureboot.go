// Package secureboot signs images for the secure boot of chips and verifies them:
// version 1 of the ESP32 (ECDSA on P-256, for apps and partition tables) and version
// 2 (for apps and bootloaders: RSA-3072 with PSS or ECDSA, as the chip takes it);
// and it makes the digest by which an ESP32 knows its bootloader with version 1. It
// reads no file and holds no key: who signs is a crypto.Signer.
package secureboot

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"station/internal/chip"
	"station/internal/filefault"
	"station/internal/firmware"
)

// Version is a version of secure boot. Which one a key signs for depends on the chip.
type Version int

// The versions.
const (
	V1 Version = 1
	V2 Version = 2
)

// VersionFor tells in which version the chip takes images that the key signed.
func VersionFor(f *chip.Family, key crypto.PublicKey) (Version, error) {
	kind, err := KindOf(key)
	if err != nil {
		return 0, err
	}
	version := Version(f.BootVersion(kind))
	if version == 0 {
		return 0, fmt.Errorf("secure boot: the %s takes no %s key; it takes %s", f.Title, kind, f.SignedBy())
	}
	return version, nil
}

// ChipOf is the chip that an image says it is for; the ESP32 for anything else, a
// partition table too: no other chip checks one.
func ChipOf(file []byte) *chip.Family {
	const idAt = 12
	if len(file) < idAt+2 || file[0] != imageMagic {
		return chip.Known(nil)
	}
	return chip.Known(chip.ByImageID(uint32(binary.LittleEndian.Uint16(file[idAt:]))))
}

// Signature is what the signature of a file says.
type Signature struct {
	Version Version
	Key     chip.SigningKey
	Chip    *chip.Family // for which it was verified
	Signed  int          // bytes that it covers, with their padding
	Digest  []byte       // that was signed: SHA-384 with P-384, else SHA-256; version 1 does not keep it, so it is computed
	// KeyDigests are, with version 2, those of the keys that signed, in the
	// order of their blocks. BLOCK2 of an ESP32 must hold the first, in this order of
	// bytes: burned as secure_boot_v2 it is not reversed. A later chip must hold any.
	KeyDigests [][sha256.Size]byte
}

// Hash names the function of Digest: "sha256".
func (s *Signature) Hash() string {
	if len(s.Digest) == sha256.Size {
		return "sha256"
	}
	return "sha384"
}

// ErrKeyNeeded: the file has a version 1 signature, which can be verified only
// with the public key at hand.
var ErrKeyNeeded = errors.New("a version 1 signature does not tell its key")

// Sign returns the image with its signature after it, as its chip takes it: with
// version 2 of each key, in that order, up to three, all of one kind. The ESP32 reads
// the first alone; the others are for devices whose BLOCK2 has another key. Only an
// ESP image or, with version 1, a partition table is signed: whole, not encrypted,
// unsigned, and ending where the chip will look for the signature; the error has
// every fault.
func Sign(image []byte, keys ...crypto.Signer) ([]byte, error) {
	return SignFor(ChipOf(image), image, keys...)
}

// SignFor is Sign for a chip whatever the image says.
func SignFor(f *chip.Family, image []byte, keys ...crypto.Signer) ([]byte, error) {
	version, kind, err := versionOf(f, keys)
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
		out, err = signV2(image, kind, keys...)
	}
	if err != nil {
		return nil, fmt.Errorf("secure boot: sign: %w", err)
	}
	return noticed(f, out, keys[0].Public())
}

// Append adds the signature of one more key to a file that has one of version
// 2: two people can sign who keep their keys apart. It refuses a file whose
// signatures are not good.
func Append(file []byte, key crypto.Signer) ([]byte, error) {
	f := ChipOf(file)
	if version, err := VersionFor(f, key.Public()); err != nil {
		return nil, err
	} else if version != V2 {
		return nil, errors.New("secure boot: sign: version 1 has one signature; only version 2 takes another one")
	}
	s, err := VerifyFor(f, file, nil)
	if err != nil {
		return nil, fmt.Errorf("secure boot: sign: nothing is added to a signature that is not good: %w", err)
	}
	n := len(s.KeyDigests)
	digest, _ := KeyDigest(key.Public()) // has a version, so it has a digest
	kind, _ := KindOf(key.Public())
	switch {
	case kind != s.Key:
		return nil, fmt.Errorf("secure boot: sign: the file has a signature of an %s key, and all of a file are of one kind; this key is %s", s.Key, kind)
	case n == maxBlocks:
		return nil, fmt.Errorf("secure boot: sign: the file has %d signatures, and there is no room for more", n)
	case slices.Contains(s.KeyDigests, digest):
		return nil, errors.New("secure boot: sign: this key has signed the file already")
	}
	block, err := formFor(kind).block(s.Digest, key)
	if err != nil {
		return nil, fmt.Errorf("secure boot: sign: %w", err)
	}
	out := slices.Clone(file)
	copy(out[s.Signed+n*blockSize:], block)
	return noticed(f, out, nil)
}

// noticed verifies a new signature: a token or a memory that is at fault is
// noticed here, not by the chip.
func noticed(f *chip.Family, file []byte, key crypto.PublicKey) ([]byte, error) {
	if _, err := VerifyFor(f, file, key); err != nil {
		return nil, fmt.Errorf("secure boot: sign: the new signature does not verify: %w", err)
	}
	return file, nil
}

// versionOf is the version that all the keys sign for, and the kind that they are of.
func versionOf(f *chip.Family, keys []crypto.Signer) (version Version, kind chip.SigningKey, err error) {
	if len(keys) == 0 || len(keys) > maxBlocks {
		return 0, "", fmt.Errorf("secure boot: sign: %d keys, want 1 to %d", len(keys), maxBlocks)
	}
	for i, key := range keys {
		v, err := VersionFor(f, key.Public())
		if err != nil {
			return 0, "", err
		}
		k, _ := KindOf(key.Public())
		switch {
		case v == V1 && len(keys) > 1:
			return 0, "", errors.New("secure boot: sign: version 1 has one signature: give one key")
		case i > 0 && k != kind:
			return 0, "", fmt.Errorf("secure boot: sign: keys of two kinds, %s and %s: all signatures of a file are of one", kind, k)
		}
		version, kind = v, k
		for _, other := range keys[:i] {
			if other.Public().(interface{ Equal(crypto.PublicKey) bool }).Equal(key.Public()) {
				return 0, "", errors.New("secure boot: sign: the same key twice")
			}
		}
	}
	return version, kind, nil
}

// Verify verifies a file's signature as the chip would that the file is for. key is
// the one that must have signed, nil for whatever key a version 2 signature brings
// along (ErrKeyNeeded with version 1). The error has every fault; the signature is
// what could be read nevertheless, nil where there is none.
func Verify(file []byte, key crypto.PublicKey) (*Signature, error) {
	return VerifyFor(ChipOf(file), file, key)
}

// VerifyFor is Verify for a chip whatever the file says. It looks at as many
// signatures as the chip does, one of which must be of the key, and all of which must
// be good.
func VerifyFor(family *chip.Family, file []byte, key crypto.PublicKey) (*Signature, error) {
	version := V2
	if key != nil {
		var err error
		if version, err = VersionFor(family, key); err != nil {
			return nil, err
		}
	}
	f := faults{chip: family}
	length := f.image(file)
	at := version.signatureAt(file, length)
	if key == nil && !hasV2(file, at) && hasV1(file, V1.signatureAt(file, length)) {
		return nil, ErrKeyNeeded
	}
	if version == V1 {
		return f.verifyV1(file, at, key.(*ecdsa.PublicKey)), f.err()
	}
	return f.verifyV2(file, at, key), f.err()
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
	for _, fault := range filefault.All(err) {
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
type faults struct {
	chip *chip.Family // that is to start it
	list []error
}

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
