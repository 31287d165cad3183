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
// padded to whole sectors with 0xFF. The sector begins with one block for each
// key, at most three; the ESP32 reads the first alone (SECURE_BOOT_NUM_BLOCKS
// is 1 in its ROM's header). The rest is 0xFF. Numbers are little endian, the
// signature too (ESP-IDF, "Secure Boot V2", signature block format):
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
	maxBlocks   = 3
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

// signV2 is the image, its padding, and a sector with a block of each key.
func signV2(image []byte, keys ...crypto.Signer) ([]byte, error) {
	contents := pad(image[:len(image):len(image)], V2.end(len(image)))
	digest := sha256.Sum256(contents)
	var sector []byte
	for _, key := range keys {
		block, err := blockV2(digest[:], key)
		if err != nil {
			return nil, err
		}
		sector = append(sector, block...)
	}
	return append(contents, pad(sector, sectorSize)...), nil
}

// blockV2 is one key's signature block over a digest.
func blockV2(digest []byte, key crypto.Signer) ([]byte, error) {
	sig, err := key.Sign(rand.Reader, digest, pss)
	if err != nil {
		return nil, err
	}
	if len(sig) != modulusSize {
		return nil, fmt.Errorf("the signer gave a signature of %d bytes, want %d", len(sig), modulusSize)
	}
	b := make([]byte, 0, blockSize)
	b = append(b, magicV2, byte(V2), 0, 0)
	b = append(b, digest...)
	b = append(b, keyFields(key.Public().(*rsa.PublicKey))...)
	b = append(b, reversed(sig)...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return append(b, make([]byte, blockSize-len(b))...), nil
}
