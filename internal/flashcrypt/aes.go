package flashcrypt

import (
	"encoding/binary"
	"math/bits"
)

// AES-256 (FIPS 197) on one caller-owned schedule. crypto/aes puts a new
// schedule on the heap for every key, 65 536 of them for a 2 MiB image, and
// offers no way to erase them; here the schedule is a page that the caller
// overwrites. The tables are looked up by secret bytes, so this AES must not
// be used where a hostile program shares the processor and can time it.
//
// These functions compute on what their caller owns, and so many times for an
// image that the race detector, looking at each byte, took longer than all else
// in a visit: they go without it, their callers do not.

const (
	rounds       = 14
	shortRounds  = 10 // of AES-128
	scheduleSize = 16 * (rounds + 1)
)

// schedule holds the round keys, each word in little endian.
type schedule [scheduleSize]byte

func (s *schedule) word(i int) uint32       { return binary.LittleEndian.Uint32(s[4*i:]) }
func (s *schedule) setWord(i int, v uint32) { binary.LittleEndian.PutUint32(s[4*i:], v) }

// The S-box and its inverse; te and td are SubBytes and InvSubBytes with the
// following MixColumns of the top byte of a column, mi is InvMixColumns alone.
// The other three bytes of a column use the same tables, rotated.
var (
	sbox, inverse [256]byte
	te, td, mi    [256]uint32
)

func init() {
	// p runs through the field as powers of 3, q through their inverses.
	for p, q := byte(1), byte(1); ; {
		sbox[p] = q ^ bits.RotateLeft8(q, 1) ^ bits.RotateLeft8(q, 2) ^
			bits.RotateLeft8(q, 3) ^ bits.RotateLeft8(q, 4) ^ 0x63
		p, q = times(p, 0x03), times(q, 0xf6)
		if p == 1 {
			break
		}
	}
	sbox[0] = 0x63
	for i, s := range sbox {
		inverse[s] = byte(i)
		te[i] = column(s, 2, 1, 1, 3)
		td[s] = column(byte(i), 14, 9, 13, 11)
		mi[i] = column(byte(i), 14, 9, 13, 11)
	}
}

// times multiplies in GF(2⁸) modulo x⁸+x⁴+x³+x+1.
func times(a, b byte) byte {
	var product byte
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			product ^= a
		}
		a = a<<1 ^ a>>7*0x1b
	}
	return product
}

func column(x, a, b, c, d byte) uint32 {
	return join(times(x, a), times(x, b), times(x, c), times(x, d))
}

func join(a, b, c, d byte) uint32 {
	return uint32(a)<<24 | uint32(b)<<16 | uint32(c)<<8 | uint32(d)
}

// expandShort fills the schedule of AES-128 from its first four words.
//
//go:norace
func (s *schedule) expandShort() {
	rcon := uint32(1) << 24
	for i := 4; i < 4*(shortRounds+1); i += 4 {
		t := s.word(i - 1)
		t = join(sbox[byte(t>>16)], sbox[byte(t>>8)], sbox[byte(t)], sbox[t>>24]) ^ rcon
		rcon = uint32(times(byte(rcon>>24), 2)) << 24
		for j := range 4 {
			t ^= s.word(i - 4 + j)
			s.setWord(i+j, t)
		}
	}
}

// expand fills the schedule from its first eight words, for encryption.
//
//go:norace
func (s *schedule) expand() {
	rcon := uint32(1) << 24
	for i := 8; i < 4*(rounds+1); i += 4 {
		t := s.word(i - 1)
		if i%8 == 0 {
			t = join(sbox[byte(t>>16)], sbox[byte(t>>8)], sbox[byte(t)], sbox[t>>24]) ^ rcon
			rcon <<= 1
		} else {
			t = last(&sbox, t, t, t, t)
		}
		for j := range 4 {
			t ^= s.word(i - 8 + j)
			s.setWord(i+j, t)
		}
	}
}

// invert turns a schedule for encryption into one for decryption, its round
// keys still in the order of encryption (the equivalent inverse cipher).
func (s *schedule) invert() { s.invertRounds(rounds) }

//go:norace
func (s *schedule) invertRounds(rounds int) {
	for i := 4; i < 4*rounds; i++ {
		w := s.word(i)
		s.setWord(i, mix(&mi, w, w, w, w))
	}
}

func mix(t *[256]uint32, a, b, c, d uint32) uint32 {
	return t[a>>24] ^
		bits.RotateLeft32(t[byte(b>>16)], -8) ^
		bits.RotateLeft32(t[byte(c>>8)], -16) ^
		bits.RotateLeft32(t[byte(d)], -24)
}

func last(t *[256]byte, a, b, c, d uint32) uint32 {
	return join(t[a>>24], t[byte(b>>16)], t[byte(c>>8)], t[byte(d)])
}

// block is an AES block of four columns that is stored in memory with its
// sixteen bytes reversed, as the flash controller has it.
type block struct{ a, b, c, d uint32 }

func load(p []byte) block {
	return block{
		binary.LittleEndian.Uint32(p[12:]), binary.LittleEndian.Uint32(p[8:]),
		binary.LittleEndian.Uint32(p[4:]), binary.LittleEndian.Uint32(p[0:]),
	}
}

func (x block) store(p []byte) {
	binary.LittleEndian.PutUint32(p[12:], x.a)
	binary.LittleEndian.PutUint32(p[8:], x.b)
	binary.LittleEndian.PutUint32(p[4:], x.c)
	binary.LittleEndian.PutUint32(p[0:], x.d)
}

func (x block) xor(s *schedule, round int) block {
	k := s[16*round : 16*round+16]
	return block{
		x.a ^ binary.LittleEndian.Uint32(k[0:]), x.b ^ binary.LittleEndian.Uint32(k[4:]),
		x.c ^ binary.LittleEndian.Uint32(k[8:]), x.d ^ binary.LittleEndian.Uint32(k[12:]),
	}
}

// encrypt is the AES cipher over a schedule as expand leaves it.
func (s *schedule) encrypt(dst, src []byte) { s.encryptRounds(dst, src, rounds) }

//go:norace
func (s *schedule) encryptRounds(dst, src []byte, rounds int) {
	x := load(src).xor(s, 0)
	for r := 1; r < rounds; r++ {
		x = block{
			mix(&te, x.a, x.b, x.c, x.d), mix(&te, x.b, x.c, x.d, x.a),
			mix(&te, x.c, x.d, x.a, x.b), mix(&te, x.d, x.a, x.b, x.c),
		}.xor(s, r)
	}
	block{
		last(&sbox, x.a, x.b, x.c, x.d), last(&sbox, x.b, x.c, x.d, x.a),
		last(&sbox, x.c, x.d, x.a, x.b), last(&sbox, x.d, x.a, x.b, x.c),
	}.xor(s, rounds).store(dst)
}

// decrypt is the inverse cipher over a schedule as invert leaves it.
func (s *schedule) decrypt(dst, src []byte) { s.decryptRounds(dst, src, rounds) }

//go:norace
func (s *schedule) decryptRounds(dst, src []byte, rounds int) {
	x := load(src).xor(s, rounds)
	for r := rounds - 1; r > 0; r-- {
		x = block{
			mix(&td, x.a, x.d, x.c, x.b), mix(&td, x.b, x.a, x.d, x.c),
			mix(&td, x.c, x.b, x.a, x.d), mix(&td, x.d, x.c, x.b, x.a),
		}.xor(s, r)
	}
	block{
		last(&inverse, x.a, x.d, x.c, x.b), last(&inverse, x.b, x.a, x.d, x.c),
		last(&inverse, x.c, x.b, x.a, x.d), last(&inverse, x.d, x.c, x.b, x.a),
	}.xor(s, 0).store(dst)
}
