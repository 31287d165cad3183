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

	"station/internal/chip"
)

// A version 2 signature is a sector of its own behind the image, which is
// padded to whole sectors with 0xFF. The sector begins with one block for each
// key, at most three; the ESP32 reads the first alone (SECURE_BOOT_NUM_BLOCKS
// is 1 in its ROM's header). The rest is 0xFF. Numbers are little endian, the
// signature too (ESP-IDF, "Secure Boot V2", signature block format):
//
//	   0  E7, version, variant, zero
//	   4  digest of the padded image
//	      key and signature: see form
//	1196  CRC-32 of all before it
//	1200  16 zero
//
// With an RSA key the version is 2, the digest SHA-256, and behind it are
//
//	 36  modulus n, 384 bytes
//	420  exponent e u32
//	424  R = 2^6144 mod n, 384 bytes
//	808  M' = -1/n mod 2^32, u32
//	812  RSASSA-PSS over the digest: SHA-256, MGF1 with SHA-256, salt of 32 bytes
const (
	sectorSize  = 4096
	blockSize   = 1216
	maxBlocks   = 3
	magicV2     = 0xe7
	modulusBits = 3072
	modulusSize = modulusBits / 8

	offsetDigest = 4
	offsetCRC    = 1196
	offsetZeros  = offsetCRC + 4

	// Of an RSA key, from its modulus on.
	exponentAt = modulusSize
	rinvAt     = exponentAt + 4
	mprimeAt   = rinvAt + modulusSize
	rsaKeySize = mprimeAt + 4
)

var pss = &rsa.PSSOptions{SaltLength: sha256.Size, Hash: crypto.SHA256}

// rsaFields are n, e, R and M'. What they say besides n and e spares the chip
// a division.
func rsaFields(public crypto.PublicKey) []byte {
	key := public.(*rsa.PublicKey)
	b := make([]byte, rsaKeySize)
	littleEndian(b[:modulusSize], key.N)
	binary.LittleEndian.PutUint32(b[exponentAt:], uint32(key.E))
	r := new(big.Int).Lsh(big.NewInt(1), 2*modulusBits)
	littleEndian(b[rinvAt:mprimeAt], r.Mod(r, key.N))
	binary.LittleEndian.PutUint32(b[mprimeAt:], mPrime(binary.LittleEndian.Uint32(b)))
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

// signV2 is the image, its padding, and a sector with a block of each key, which
// are all of one kind.
func signV2(image []byte, kind chip.SigningKey, keys ...crypto.Signer) ([]byte, error) {
	m := formFor(kind)
	contents := pad(image[:len(image):len(image)], V2.end(len(image)))
	digest := m.digest(contents)
	var sector []byte
	for _, key := range keys {
		block, err := m.block(digest, key)
		if err != nil {
			return nil, err
		}
		sector = append(sector, block...)
	}
	return append(contents, pad(sector, sectorSize)...), nil
}

func (m form) digest(contents []byte) []byte {
	h := m.hash.New()
	h.Write(contents)
	return h.Sum(nil)
}

// block is one key's signature block over a digest.
func (m form) block(digest []byte, key crypto.Signer) ([]byte, error) {
	sig, err := m.sign(digest, key)
	if err != nil {
		return nil, err
	}
	b := make([]byte, blockSize)
	b[0], b[1], b[2] = magicV2, m.version, m.variant
	p := m.of(b)
	copy(p.digest, digest)
	copy(p.key, m.fields(key.Public()))
	copy(p.signature, sig)
	binary.LittleEndian.PutUint32(b[offsetCRC:], crc32.ChecksumIEEE(b[:offsetCRC]))
	return b, nil
}

func rsaSign(digest []byte, key crypto.Signer) ([]byte, error) {
	sig, err := key.Sign(rand.Reader, digest, pss)
	if err == nil && len(sig) != modulusSize {
		err = fmt.Errorf("the signer gave a signature of %d bytes, want %d", len(sig), modulusSize)
	}
	return reversed(sig), err
}
