package efuse

import (
	"errors"

	"station/internal/chip"
)

// coding is how the words of a block are stored.
type coding interface {
	// load is what the write registers must hold so that a block which reads as
	// have, and which the decoder flags or not, comes to read as want: all zero
	// where nothing is missing. The caller overwrites it.
	load(want, have []uint32, flagged bool) ([]uint32, error)
	// match compares a block with what it shall hold.
	match(want, have []uint32, flagged bool) Match
}

// ErrTorn: a block that can be programmed once only holds something else than
// what it was programmed with. It can never be completed.
var ErrTorn = errors.New("a key block is half burned and cannot be completed")

// codingOf is the coding of a block on a chip of this coding scheme.
func codingOf(b chip.Block, scheme chip.Coding) coding {
	switch {
	case b.Coding == chip.ReedSolomon:
		return reedSolomon{}
	case b.Coding == chip.ByField && scheme == chip.Coding34:
		return threeQuarters{}
	}
	return plain{}
}

// plain stores words as they are; bits may be burned one by one.
type plain struct{}

func (plain) load(want, have []uint32, _ bool) ([]uint32, error) {
	out := make([]uint32, len(have))
	for w := range out {
		out[w] = want[w] &^ have[w]
	}
	return out, nil
}

func (plain) match(want, have []uint32, _ bool) Match {
	var extra, missing uint32
	for w := range have {
		extra |= have[w] &^ want[w]
		missing |= want[w] &^ have[w]
	}
	switch {
	case extra != 0:
		return MatchForeign
	case missing != 0:
		return MatchPart
	}
	return MatchWhole
}

// reedSolomon stores eight words with three check words, programmed together and
// once. What is there must be whole, and the decoder must have nothing to say:
// a key that it had to mend may be beyond mending one day.
type reedSolomon struct{}

func (r reedSolomon) load(want, have []uint32, flagged bool) ([]uint32, error) {
	switch {
	case r.match(want, have, flagged) == MatchWhole:
		return make([]uint32, codedWords), nil
	case flagged || !isZero(have):
		return nil, ErrTorn
	}
	return encodeRS(want), nil
}

func (reedSolomon) match(want, have []uint32, flagged bool) Match {
	var differ, any uint32
	for w := range have {
		differ |= have[w] ^ want[w]
		any |= have[w]
	}
	switch {
	case differ == 0 && !flagged:
		return MatchWhole
	case any == 0 && !flagged:
		return MatchEmpty
	case !flagged:
		return MatchForeign // it was programmed whole, with something else
	}
	return MatchPart // whose it is nobody can tell: it may be a mended or garbled key
}

// encodeRS adds the check words of RS(44, 32) over GF(256) with the polynomial
// 0x11D and the generator roots 2^0 to 2^11 (as the ROM's ets_efuse_rs_calculate
// and the reedsolo library with 12 check bytes).
func encodeRS(data []uint32) []uint32 {
	out := make([]uint32, codedWords)
	copy(out, data)
	var check [12]byte
	for w := range 8 {
		for b := range 4 {
			feedback := byte(out[w]>>(8*b)) ^ check[0]
			copy(check[:], check[1:])
			check[11] = 0
			for i, g := range rsGenerator {
				check[i] ^= gfMul(feedback, g)
			}
		}
	}
	for i, c := range check {
		out[8+i/4] |= uint32(c) << (8 * (i % 4))
	}
	clear(check[:])
	return out
}

// rsGenerator are the coefficients of the generator below its highest power.
var rsGenerator = func() [12]byte {
	g := []byte{1}
	root := byte(1)
	for range 12 {
		next := make([]byte, len(g)+1)
		for i, c := range g {
			next[i] ^= c
			next[i+1] ^= gfMul(c, root)
		}
		g, root = next, gfMul(root, 2)
	}
	return [12]byte(g[1:])
}()

// gfMul multiplies in GF(256) with the polynomial 0x11D, in constant time.
func gfMul(a, b byte) byte {
	var p byte
	for range 8 {
		p ^= a & -(b & 1)
		a = a<<1 ^ 0x1d&-(a>>7)
		b >>= 1
	}
	return p
}
