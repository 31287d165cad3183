package secureboot

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math/big"
	"slices"
)

// hasV2 reports whether a version 2 block begins at offset at of the file, of
// the kind that the ESP32 knows or of another chip's.
func hasV2(file []byte, at int) bool {
	return len(file) >= at+blockSize && isBlock(file[at:])
}

func isBlock(b []byte) bool { return b[0] == magicV2 && (b[1] == byte(V2) || b[1] == versionEC) }

// versionEC is the version byte of a block with an ECDSA key, which chips
// other than the ESP32 take.
const versionEC = 3

func (f *faults) verifyV2(file []byte, at int, want *rsa.PublicKey, blocks int) *Signature {
	if !hasV2(file, at) {
		f.add("no version 2 signature: no block begins at %#x, where the chip looks for it", at)
		return nil
	}
	if file[at+1] == versionEC {
		f.add("the signature block has an ECDSA key, which the ESP32 does not take: sign with RSA-%d", modulusBits)
		return nil
	}
	contents, sector := file[:at], file[at:min(at+sectorSize, len(file))]
	s := &Signature{Version: V2, Signed: at}
	copy(s.Digest[:], sector[offsetDigest:])
	if at%sectorSize != 0 {
		f.add("the signature begins at %#x, want a multiple of %#x", at, sectorSize)
	}
	if len(sector) < sectorSize {
		f.add("cut short: the signature's sector has %d bytes, want %d", len(sector), sectorSize)
	}
	digest := sha256.Sum256(contents)
	if digest != s.Digest {
		f.add("the image was changed after it was signed: its SHA-256 is %x…, the signature is over %x…", digest[:4], s.Digest[:4])
	}
	f.checkBlocks(s, sector, want, blocks)
	f.after(file[at+len(sector):])
	return s
}

// checkBlocks checks each block of a sector, and whether one of those that the
// chip looks at is of the key wanted.
func (f *faults) checkBlocks(s *Signature, sector []byte, want *rsa.PublicKey, blocks int) {
	keys := []*rsa.PublicKey{}
	for len(keys) < maxBlocks && len(sector) >= blockSize && isBlock(sector) {
		block := sector[:blockSize]
		b := faults{}
		b.checkForm(block)
		if !bytes.Equal(block[offsetDigest:offsetModulus], s.Digest[:]) {
			b.add("it is over %x…, the first block over %x…", block[offsetDigest:offsetDigest+4], s.Digest[:4])
		}
		keys = append(keys, b.checkKey(block))
		s.KeyDigests = append(s.KeyDigests, sha256.Sum256(block[offsetModulus:offsetSignature]))
		f.ofBlock(len(keys), b)
		sector = sector[blockSize:]
	}
	if !erased(sector) {
		f.add("the sector holds something behind its signature blocks")
	}
	if want == nil {
		return
	}
	wanted := sha256.Sum256(keyFields(want))
	switch n := slices.IndexFunc(keys, func(k *rsa.PublicKey) bool { return want.Equal(k) }); {
	case n >= 0 && n < blocks:
		return
	case n > 0:
		f.add("signed with the wanted key in block %d, and the ESP32 reads the first block alone: sign with that key first", n+1)
		return
	}
	f.add("signed with another key: its digest is %x…, wanted is %x…", s.KeyDigests[0][:4], wanted[:4])
}

// ofBlock takes over the faults of one block, by its number if it is not the first.
func (f *faults) ofBlock(n int, b faults) {
	for _, fault := range b.list {
		if n == 1 {
			f.list = append(f.list, fault)
		} else {
			f.add("signature block %d: %w", n, fault)
		}
	}
}

// checkForm checks what no key is needed for.
func (f *faults) checkForm(block []byte) {
	if block[1] != byte(V2) {
		f.add("the block has version %d, want %d", block[1], V2)
	}
	if got := binary.LittleEndian.Uint16(block[2:]); got != 0 {
		f.add("bytes 2 and 3 of the signature block are %#04x, want 0", got)
	}
	if got, want := binary.LittleEndian.Uint32(block[offsetCRC:]), crc32.ChecksumIEEE(block[:offsetCRC]); got != want {
		f.add("the CRC of the signature block is %#08x, computed %#08x: the block is damaged", got, want)
	}
	if slices.Max(block[offsetZeros:]) != 0 {
		f.add("the last 16 bytes of the signature block are not zero")
	}
}

// checkKey checks the key in the block and what was signed with it.
func (f *faults) checkKey(block []byte) *rsa.PublicKey {
	key := &rsa.PublicKey{
		N: new(big.Int).SetBytes(reversed(block[offsetModulus:offsetExponent])),
		E: int(binary.LittleEndian.Uint32(block[offsetExponent:])),
	}
	if bits := key.N.BitLen(); bits != modulusBits || key.N.Bit(0) == 0 {
		f.add("the modulus in the signature block has %d bits and ends in %d, want an odd number of %d bits", bits, key.N.Bit(0), modulusBits)
		return key
	}
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
	if err := rsa.VerifyPSS(key, crypto.SHA256, block[offsetDigest:offsetModulus], reversed(block[offsetSignature:offsetCRC]), pss); err != nil {
		f.add("the signature is not that of the key and the digest beside it")
	}
	return key
}
