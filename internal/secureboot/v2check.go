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

	"station/internal/chip"
)

// hasV2 reports whether a version 2 block begins at offset at of the file, of
// whatever kind of key.
func hasV2(file []byte, at int) bool {
	return len(file) >= at+blockSize && isBlock(file[at:])
}

func isBlock(b []byte) bool { return b[0] == magicV2 && (b[1] == byte(V2) || b[1] == versionEC) }

func (f *faults) verifyV2(file []byte, at int, want crypto.PublicKey) *Signature {
	if !hasV2(file, at) {
		f.add("no version 2 signature: no block begins at %#x, where the chip looks for it", at)
		return nil
	}
	m, known := formIn(file[at:])
	if takes := f.chip.Seal.SecureBoot[int(V2)].Keys; !known || !slices.Contains(takes, m.kind) {
		f.add("the signature block has an %s key, which the %s does not take: sign with %s", kindIn(file[at:]), f.chip.Title, kinds(takes))
		return nil
	}
	contents, sector := file[:at], file[at:min(at+sectorSize, len(file))]
	s := &Signature{Version: V2, Key: m.kind, Chip: f.chip, Signed: at, Digest: bytes.Clone(m.of(sector).digest)}
	if at%sectorSize != 0 {
		f.add("the signature begins at %#x, want a multiple of %#x", at, sectorSize)
	}
	if len(sector) < sectorSize {
		f.add("cut short: the signature's sector has %d bytes, want %d", len(sector), sectorSize)
	}
	if digest := m.digest(contents); !bytes.Equal(digest, s.Digest) {
		f.add("the image was changed after it was signed: its %v is %x…, the signature is over %x…", m.hash, digest[:4], s.Digest[:4])
	}
	f.checkBlocks(s, m, sector, want)
	f.after(file[at+len(sector):])
	return s
}

// checkBlocks checks each block of a sector, and whether one of those that the
// chip looks at is of the key wanted.
func (f *faults) checkBlocks(s *Signature, m form, sector []byte, want crypto.PublicKey) {
	for len(s.KeyDigests) < maxBlocks && len(sector) >= blockSize && isBlock(sector) {
		block := sector[:blockSize]
		b := faults{}
		b.checkForm(block, m)
		p := m.of(block)
		if !bytes.Equal(p.digest, s.Digest) {
			b.add("it is over %x…, the first block over %x…", p.digest[:4], s.Digest[:4])
		}
		m.check(&b, p)
		s.KeyDigests = append(s.KeyDigests, sha256.Sum256(p.key))
		f.ofBlock(len(s.KeyDigests), b)
		sector = sector[blockSize:]
	}
	if !erased(sector) {
		f.add("the sector holds something behind its signature blocks")
	}
	if want != nil {
		f.checkWanted(s, want)
	}
}

// checkWanted looks for the block of one key. Its digest is over all that the chip
// reads of the key.
func (f *faults) checkWanted(s *Signature, want crypto.PublicKey) {
	wanted, err := KeyDigest(want)
	if err != nil {
		f.list = append(f.list, err)
		return
	}
	reads := f.chip.Trusts(int(V2))
	switch n := slices.Index(s.KeyDigests, wanted); {
	case n >= 0 && n < reads:
		return
	case n > 0:
		f.add("signed with the wanted key in block %d, and the %s reads the first block alone: sign with that key first", n+1, f.chip.Title)
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
func (f *faults) checkForm(block []byte, m form) {
	if block[1] != m.version {
		f.add("the block has version %d, want %d", block[1], m.version)
	}
	if got := binary.LittleEndian.Uint16(block[2:]); got != uint16(m.variant) {
		f.add("bytes 2 and 3 of the signature block are %#04x, want %d", got, m.variant)
	}
	if got, want := binary.LittleEndian.Uint32(block[offsetCRC:]), crc32.ChecksumIEEE(block[:offsetCRC]); got != want {
		f.add("the CRC of the signature block is %#08x, computed %#08x: the block is damaged", got, want)
	}
	if p := m.of(block); m.curve != p.key[0] && m.curve != 0 {
		f.add("the key is on curve %d, want %d", p.key[0], m.curve)
	} else if len(p.rest) > 0 && slices.Max(p.rest) != 0 {
		f.add("the bytes between signature and CRC are not zero")
	}
	if slices.Max(block[offsetZeros:]) != 0 {
		f.add("the last 16 bytes of the signature block are not zero")
	}
}

// rsaCheck checks the key in the block and what was signed with it.
func rsaCheck(f *faults, p parts) crypto.PublicKey {
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(reversed(p.key[:modulusSize])), E: int(binary.LittleEndian.Uint32(p.key[exponentAt:]))}
	if bits := key.N.BitLen(); bits != modulusBits || key.N.Bit(0) == 0 {
		f.add("the modulus in the signature block has %d bits and ends in %d, want an odd number of %d bits", bits, key.N.Bit(0), modulusBits)
		return key
	}
	fields := rsaFields(key)
	differ := func(from, to int) bool { return !bytes.Equal(fields[from:to], p.key[from:to]) }
	if differ(rinvAt, mprimeAt) {
		f.add("R in the signature block is not 2^6144 mod n")
	}
	if differ(mprimeAt, rsaKeySize) {
		f.add("M' in the signature block is not -1/n mod 2^32")
	}
	if err := rsa.VerifyPSS(key, crypto.SHA256, p.digest, reversed(p.signature), pss); err != nil {
		f.add("the signature is not that of the key and the digest beside it")
	}
	return key
}

// kinds names kinds of keys: "RSA-3072 or ECDSA P-256".
func kinds(list []chip.SigningKey) (text string) {
	for i, kind := range list {
		if i > 0 {
			text += " or "
		}
		text += string(kind)
	}
	return text
}
