package secureboot

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/big"
	"slices"
)

// A version 2 signature is a sector of its own behind the image, which is
// padded to whole sectors with 0xFF. The sector begins with one block, the
// rest is 0xFF. Numbers are little endian, the signature too (ESP-IDF, "Secure
// Boot V2", signature block format):
//
//	   0  E7, version 2, 2 zero
//	   4  SHA-256 of the padded image
//	  36  modulus n, 384 bytes
//	 420  exponent e u32
//	 424  R = 2^6144 mod n, 384 bytes
//	 808  M' = -1/n mod 2^32, u32
//	 812  RSASSA-PSS over the digest: SHA-256, MGF1 with SHA-256, salt of 32 bytes
//	1196  CRC-32 of all before it
//	1200  16 zero
const (
	sectorSize  = 4096
	blockSize   = 1216
	magicV2     = 0xe7
	modulusBits = 3072
	modulusSize = modulusBits / 8

	offsetDigest    = 4
	offsetModulus   = offsetDigest + sha256.Size
	offsetExponent  = offsetModulus + modulusSize
	offsetRinv      = offsetExponent + 4
	offsetMprime    = offsetRinv + modulusSize
	offsetSignature = offsetMprime + 4
	offsetCRC       = offsetSignature + modulusSize
	offsetZeros     = offsetCRC + 4
)

var pss = &rsa.PSSOptions{SaltLength: sha256.Size, Hash: crypto.SHA256}

// KeyDigest is what BLOCK2 must hold for images that the key signed: SHA-256
// over n, e, R and M' as the block has them.
func KeyDigest(key *rsa.PublicKey) ([sha256.Size]byte, error) {
	if _, err := VersionOf(key); err != nil {
		return [sha256.Size]byte{}, err
	}
	return sha256.Sum256(keyFields(key)), nil
}

// keyFields are n, e, R and M'. What they say besides n and e spares the chip
// a division.
func keyFields(key *rsa.PublicKey) []byte {
	b := make([]byte, offsetSignature-offsetModulus)
	littleEndian(b[:modulusSize], key.N)
	binary.LittleEndian.PutUint32(b[offsetExponent-offsetModulus:], uint32(key.E))
	r := new(big.Int).Lsh(big.NewInt(1), 2*modulusBits)
	littleEndian(b[offsetRinv-offsetModulus:offsetMprime-offsetModulus], r.Mod(r, key.N))
	binary.LittleEndian.PutUint32(b[offsetMprime-offsetModulus:], mPrime(binary.LittleEndian.Uint32(b)))
	return b
}

// mPrime is -1/n mod 2^32. n is odd, so n is its own inverse modulo 8, and
// each of Newton's steps doubles the bits that are right.
func mPrime(n uint32) uint32 {
	inverse := n
	for range 4 {
		inverse *= 2 - n*inverse
	}
	return -inverse
}

func littleEndian(to []byte, n *big.Int) {
	n.FillBytes(to)
	slices.Reverse(to)
}

func reversed(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}

func pad(b []byte, to int) []byte {
	return append(b, bytes.Repeat([]byte{0xff}, to-len(b))...)
}

func signV2(image []byte, key crypto.Signer) ([]byte, error) {
	contents := pad(image[:len(image):len(image)], V2.end(len(image)))
	digest := sha256.Sum256(contents)
	sig, err := key.Sign(rand.Reader, digest[:], pss)
	if err != nil {
		return nil, err
	}
	if len(sig) != modulusSize {
		return nil, fmt.Errorf("the signer gave a signature of %d bytes, want %d", len(sig), modulusSize)
	}
	b := make([]byte, 0, blockSize)
	b = append(b, magicV2, byte(V2), 0, 0)
	b = append(b, digest[:]...)
	b = append(b, keyFields(key.Public().(*rsa.PublicKey))...)
	b = append(b, reversed(sig)...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(b, make([]byte, blockSize-len(b))...)
	return append(contents, pad(b, sectorSize)...), nil
}

// hasV2 reports whether a version 2 block begins at offset at of the file.
func hasV2(file []byte, at int) bool {
	return len(file) >= at+blockSize && file[at] == magicV2 && file[at+1] == byte(V2)
}

func (f *faults) verifyV2(file []byte, at int, want *rsa.PublicKey) *Signature {
	if !hasV2(file, at) {
		f.add("no version 2 signature: no block begins at %#x, where the chip looks for it", at)
		return nil
	}
	contents, sector := file[:at], file[at:min(at+sectorSize, len(file))]
	block := sector[:blockSize]
	s := &Signature{Version: V2, Signed: at}
	copy(s.Digest[:], block[offsetDigest:])
	s.KeyDigest = sha256.Sum256(block[offsetModulus:offsetSignature])

	if at%sectorSize != 0 {
		f.add("the signature begins at %#x, want a multiple of %#x", at, sectorSize)
	}
	if len(sector) < sectorSize {
		f.add("cut short: the signature's sector has %d bytes, want %d", len(sector), sectorSize)
	}
	if digest := sha256.Sum256(contents); digest != s.Digest {
		f.add("the image was changed after it was signed: its SHA-256 is %x…, the signature is over %x…", digest[:4], s.Digest[:4])
	}
	f.checkForm(sector)
	f.checkKey(s, block, want)
	f.after(file[at+len(sector):])
	return s
}

// checkForm checks what no key is needed for.
func (f *faults) checkForm(sector []byte) {
	block := sector[:blockSize]
	if got := binary.LittleEndian.Uint16(block[2:]); got != 0 {
		f.add("bytes 2 and 3 of the signature block are %#04x, want 0", got)
	}
	if got, want := binary.LittleEndian.Uint32(block[offsetCRC:]), crc32.ChecksumIEEE(block[:offsetCRC]); got != want {
		f.add("the CRC of the signature block is %#08x, computed %#08x: the block is damaged", got, want)
	}
	if slices.Max(block[offsetZeros:]) != 0 {
		f.add("the last 16 bytes of the signature block are not zero")
	}
	if rest := sector[blockSize:]; len(rest) > 0 && rest[0] == magicV2 {
		f.add("a second signature block follows: the ESP32 takes one")
	} else if !erased(rest) {
		f.add("the sector holds something behind its signature block")
	}
}

// checkKey checks the key in the block, what was signed with it, and whether
// it is the one wanted.
func (f *faults) checkKey(s *Signature, block []byte, want *rsa.PublicKey) {
	key := &rsa.PublicKey{
		N: new(big.Int).SetBytes(reversed(block[offsetModulus:offsetExponent])),
		E: int(binary.LittleEndian.Uint32(block[offsetExponent:])),
	}
	if bits := key.N.BitLen(); bits != modulusBits || key.N.Bit(0) == 0 {
		f.add("the modulus in the signature block has %d bits and ends in %d, want an odd number of %d bits", bits, key.N.Bit(0), modulusBits)
	} else {
		fields := keyFields(key)
		differ := func(from, to int) bool {
			return !bytes.Equal(fields[from-offsetModulus:to-offsetModulus], block[from:to])
		}
		if differ(offsetRinv, offsetMprime) {
			f.add("R in the signature block is not 2^6144 mod n")
		}
		if differ(offsetMprime, offsetSignature) {
			f.add("M' in the signature block is not -1/n mod 2^32")
		}
		if err := rsa.VerifyPSS(key, crypto.SHA256, s.Digest[:], reversed(block[offsetSignature:offsetCRC]), pss); err != nil {
			f.add("the signature is not that of the key and the digest beside it")
		}
	}
	if want != nil && !want.Equal(key) {
		wanted := sha256.Sum256(keyFields(want))
		f.add("signed with another key: its digest is %x…, wanted is %x…", s.KeyDigest[:4], wanted[:4])
	}
}
