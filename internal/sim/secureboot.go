package sim

import (
	"bytes"
	"cmp"
	"crypto"
	"crypto/aes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/big"
	"slices"

	"station/internal/chip"
)

// Secure boot in the mask ROM: before it jumps into the bootloader it checks
// the bootloader's signature (version 2, ABS_DONE_1, from revision 3) or its
// digest (version 1, ABS_DONE_0). Both set: version 2 decides.

func (c *Chip) secureBoot2() bool {
	return c.fuses.fieldOr("SECURE_BOOT_EN", 0) != 0 || c.opts.major() == 3 && c.fuses.fieldOr("ABS_DONE_1", 0) != 0
}

func (c *Chip) secureBoot1() bool {
	return !c.secureBoot2() && c.fuses.fieldOr("ABS_DONE_0", 0) != 0
}

// The lines of ets_main.c that the ROM names when it gives a bootloader up;
// that of version 2 is an assumption.
const (
	refusedV1 = 371
	refusedV2 = 329
)

// refuse is the end of a boot that secure boot forbids: no interpreter, the
// watchdog starts the chip again.
func (c *Chip) refuse(line int) {
	t := console{c: c}
	t.raw("ets_main.c %d ", line)
	c.mode = running
	c.restart(resetRTCWDT, c.opts.Times.Watchdog)
}

// romSigned checks the signature of the bootloader and says what it found.
// Where a header lies, its length is not yet known to be right: what it names
// is looked at as it is.
func (c *Chip) romSigned(t *console, h header, line int) bool {
	start := c.opts.Chip.Bootloader
	length := c.imageLength(start, h)
	ok := false
	if length > 0 {
		fault := c.signature2(start, length)
		if ok = fault == ""; !ok {
			t.raw("%s", fault)
		}
	}
	if !ok {
		t.raw("secure boot verification failed")
		c.refuse(line)
		return false
	}
	t.raw("secure boot verification succeeded")
	return true
}

// imageLength is how long the image at an address is by its segments, with its
// SHA-256; 0 where they lead out of the flash.
func (c *Chip) imageLength(at uint32, h header) int {
	n := headerBytes
	for range h.segments() {
		if int(at)+n+8 > len(c.flash.mem) {
			return 0
		}
		size := binary.LittleEndian.Uint32(c.plainFlash(at+uint32(n), 8)[4:])
		if int64(at)+int64(n)+8+int64(size) > int64(len(c.flash.mem)) {
			return 0
		}
		n += 8 + int(size)
	}
	n = n | 15 + 1
	if h.hashed() {
		n += sha256.Size
	}
	return n
}

// The signature block of version 2 (ESP-IDF, esp32/rom/secure_boot.h): of the
// sector the ESP32 reads one.
const (
	block2Size   = 1216
	block2CRC    = 1196
	modulus2Size = 384
)

// signing is how a kind of key stands in a block: where it begins, where its
// signature does, and the hash of the image before both.
type signing struct {
	kind     chip.SigningKey
	version  byte
	key, sig int
	hash     func([]byte) []byte
	good     func(block, digest []byte) bool
}

var (
	rsaSigning  = signing{chip.RSA3072, 2, 36, 812, sha256Of, pssGood}
	p256Signing = signing{chip.P256, 3, 36, 101, sha256Of, func(block, digest []byte) bool { return ecdsaGood(elliptic.P256(), 2, block[36:], digest) }}
	p384Signing = signing{chip.P384, 3, 52, 149, sha384Of, func(block, digest []byte) bool { return ecdsaGood(elliptic.P384(), 3, block[52:], digest) }}
)

// signings are the kinds of signature that this chip takes: with SECURE_BOOT_SHA384_EN its ROM hashes
// images with SHA-384, and with that goes P-384 alone.
func (c *Chip) signings() (list []signing) {
	takes := chip.Known(c.opts.Chip).Seal.SecureBoot[2].Keys
	long := c.fuses.fieldOr("SECURE_BOOT_SHA384_EN", 0) != 0
	for _, s := range []signing{rsaSigning, p256Signing, p384Signing} {
		if slices.Contains(takes, s.kind) && (s.kind == chip.P384) == long {
			list = append(list, s)
		}
	}
	return list
}

func sha256Of(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
func sha384Of(b []byte) []byte { h := sha512.Sum384(b); return h[:] }

// signature2 checks the signature behind the image of that length: its block
// begins at the next sector, and the padding before it is signed too. It gives
// the ROM's line on what is wrong, "" for a good one.
func (c *Chip) signature2(at uint32, length int) string {
	end := (length + sectorSize - 1) / sectorSize * sectorSize
	if int(at)+end+sectorSize > len(c.flash.mem) {
		return "No signature block magic byte found at signature sector (found 0xff not 0xe7). Image not V2 signed?"
	}
	image := c.plainFlash(at, end)
	first := ""
	for i := range c.si.data().blocks {
		fault := c.signatureBlock(c.plainFlash(at+uint32(end+i*block2Size), block2Size), image)
		if fault == "" {
			return ""
		}
		first = cmp.Or(first, fault)
	}
	return first
}

// signatureBlock checks one block against an image.
func (c *Chip) signatureBlock(block, image []byte) string {
	takes := c.signings()
	i := slices.IndexFunc(takes, func(s signing) bool { return s.version == block[1] })
	switch {
	case block[0] != 0xe7:
		return fmt.Sprintf("No signature block magic byte found at signature sector (found 0x%02x not 0xe7). Image not V2 signed?", block[0])
	case i < 0 || crc32.ChecksumIEEE(block[:block2CRC]) != binary.LittleEndian.Uint32(block[block2CRC:]):
		return "Sig block 0 invalid: CRC mismatch"
	}
	s := takes[i]
	digest := s.hash(image)
	switch {
	case !bytes.Equal(block[4:s.key], digest):
		return "Sig block 0 invalid: Image digest does not match"
	case !c.trusts(block[s.key:s.sig]):
		return "Sig block 0 signed with untrusted key"
	case !s.good(block, digest):
		return "signature verification failed"
	}
	return ""
}

// trusts reports that the fuses hold the digest of the key.
func (c *Chip) trusts(key []byte) bool {
	sum := sha256.Sum256(key)
	return slices.ContainsFunc(c.si.trusted(c), func(digest []byte) bool { return bytes.HasPrefix(sum[:], digest) })
}

// trusted is the digest in BLOCK2.
func (esp32) trusted(c *Chip) [][]byte { return [][]byte{c.readDigest(2)} }

// readDigest is the digest in a block as the ROM reads it: zero where it cannot.
func (c *Chip) readDigest(block int) (d []byte) {
	for _, w := range c.fuses.rdata[c.si.data().start[block]:][:8] {
		d = binary.LittleEndian.AppendUint32(d, w)
	}
	return d
}

// pssGood checks RSASSA-PSS with the key in the block. What the block says of
// Montgomery's constants must be right: the hardware multiplies with them.
func pssGood(block, digest []byte) bool {
	const block2N, block2E, block2R, block2Sig = 36, 420, 424, 812
	little := func(from int) *big.Int { return littleInt(block[from : from+modulus2Size]) }
	n := little(block2N)
	if n.BitLen() != 8*modulus2Size || n.Bit(0) == 0 {
		return false
	}
	r := new(big.Int).Exp(big.NewInt(2), big.NewInt(2*8*modulus2Size), n)
	word := new(big.Int).Lsh(big.NewInt(1), 32)
	m := new(big.Int).ModInverse(n, word)
	m.Sub(word, m)
	if little(block2R).Cmp(r) != 0 || uint32(m.Uint64()) != binary.LittleEndian.Uint32(block[block2R+modulus2Size:]) {
		return false
	}
	sig := bytes.Clone(block[block2Sig : block2Sig+modulus2Size])
	slices.Reverse(sig)
	key := &rsa.PublicKey{N: n, E: int(binary.LittleEndian.Uint32(block[block2E:]))}
	return rsa.VerifyPSS(key, crypto.SHA256, digest, sig, &rsa.PSSOptions{SaltLength: sha256.Size}) == nil
}

// littleInt is a number whose lowest byte comes first.
func littleInt(b []byte) *big.Int {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return new(big.Int).SetBytes(b)
}

// ecdsaGood checks the signature of the key that stands there: the curve's number, X,
// Y, r and s.
func ecdsaGood(curve elliptic.Curve, number byte, b, digest []byte) bool {
	n := curve.Params().BitSize / 8
	part := func(i int) *big.Int { return littleInt(b[1+i*n : 1+(i+1)*n]) }
	point := append([]byte{4}, part(0).FillBytes(make([]byte, n))...)
	key, err := ecdsa.ParseUncompressedPublicKey(curve, append(point, part(1).FillBytes(make([]byte, n))...))
	return b[0] == number && err == nil && ecdsa.Verify(key, digest, part(2), part(3))
}

// romDigest checks the bootloader against the digest at address 0, with the
// key in BLOCK2, and says so only where it is wrong.
func (c *Chip) romDigest(t *console, image []byte) bool {
	iv, stored := c.plainFlash(0, 128), c.plainFlash(128, 64)
	n := (len(image) + 127) / 128 * 128
	got := bootDigest(c.bootKey(), iv, c.plainFlash(bootloaderAt, n))
	if bytes.Equal(got, stored) {
		return true
	}
	if c.opts.major() == 3 {
		c.print("Secure boot check fail")
		c.mode = running
		c.restart(resetRTCWDT, c.opts.Times.Watchdog)
		return false
	}
	t.raw("secure boot check fail")
	c.refuse(refusedV1)
	return false
}

// bootDigest is SHA-512 over IV and image after AES, the words of both turned
// round, as the secure boot hardware has it.
func bootDigest(key [32]byte, iv, image []byte) []byte {
	block, _ := aes.NewCipher(key[:]) // 32 bytes: cannot fail
	m := append(bytes.Clone(iv), image...)
	for at := 0; at < len(m); at += 16 {
		p := m[at : at+16]
		slices.Reverse(p)
		block.Encrypt(p, p)
		slices.Reverse(p)
	}
	turn := func(b []byte) {
		for at := 0; at < len(b); at += 4 {
			slices.Reverse(b[at : at+4])
		}
	}
	turn(m)
	sum := sha512.Sum512(m)
	turn(sum[:])
	return sum[:]
}

// bootKey is the key in BLOCK2 as the hardware has it, read protected or not.
func (c *Chip) bootKey() [32]byte {
	decoded, _ := decodeBlock([8]uint32(c.fuses.words[blockStart[2]:blockStart[3]]), c.fuses.coding())
	return blockKey(decoded, c.fuses.coding())
}
