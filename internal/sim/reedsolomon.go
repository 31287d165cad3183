package sim

import (
	"encoding/binary"
	"slices"
)

// The blocks of the later chips are code words of a Reed-Solomon code over
// GF(256) with the polynomial 0x11D: 32 bytes of data, 12 of check, roots 2^0 to
// 2^11. Up to six wrong bytes are mended.

const (
	rsData  = 32
	rsCheck = 12
	rsAll   = rsData + rsCheck
)

var gfExp, gfLog = func() (exp [510]byte, log [256]int) {
	x := 1
	for i := range 255 {
		exp[i], exp[i+255] = byte(x), byte(x)
		log[x] = i
		if x <<= 1; x&0x100 != 0 {
			x ^= 0x11d
		}
	}
	return exp, log
}()

func gfTimes(a, b byte) byte {
	if a == 0 || b == 0 {
		return 0
	}
	return gfExp[gfLog[a]+gfLog[b]]
}

func gfOver(a, b byte) byte {
	if a == 0 {
		return 0
	}
	return gfExp[(gfLog[a]-gfLog[b]+255)%255]
}

// polyAt evaluates a polynomial whose lowest coefficient comes first.
func polyAt(p []byte, x byte) (y byte) {
	for _, c := range slices.Backward(p) {
		y = gfTimes(y, x) ^ c
	}
	return y
}

// codeWord is a block with its check words, the first byte the highest power.
func codeWord(data [8]uint32, check [3]uint32) (c [rsAll]byte) {
	for i, w := range data {
		binary.LittleEndian.PutUint32(c[4*i:], w)
	}
	for i, w := range check {
		binary.LittleEndian.PutUint32(c[rsData+4*i:], w)
	}
	return c
}

// syndromes are all zero for a code word.
func syndromes(c [rsAll]byte) (s [rsCheck]byte, right bool) {
	right = true
	for i := range s {
		for _, b := range c {
			s[i] = gfTimes(s[i], gfExp[i]) ^ b
		}
		right = right && s[i] == 0
	}
	return s, right
}

// checkRS are the check words of a block: the remainder by the generator.
func checkRS(data [8]uint32) (check [3]uint32) {
	generator := []byte{1} // highest power first
	for i := range rsCheck {
		next := append(slices.Clone(generator), 0)
		for j, g := range generator {
			next[j+1] ^= gfTimes(g, gfExp[i])
		}
		generator = next
	}
	c := codeWord(data, check)
	for i := range rsData {
		lead := c[i]
		for j, g := range generator[1:] {
			c[i+1+j] ^= gfTimes(lead, g)
		}
	}
	for i := range check {
		check[i] = binary.LittleEndian.Uint32(c[rsData+4*i:])
	}
	return check
}

// decodeRS mends a block, and says how many bytes were wrong; where there are too
// many the block is as it is stored.
func decodeRS(data [8]uint32, check [3]uint32) (out [8]uint32, mended int, failed bool) {
	c := codeWord(data, check)
	s, right := syndromes(c)
	if right {
		return data, 0, false
	}
	locator := locate(s)
	wrong := len(locator) - 1
	if wrong > rsCheck/2 {
		return data, 0, true
	}
	found := 0
	for i := range c {
		x := gfExp[rsAll-1-i] // of the byte's power
		inverse := gfExp[(255-(rsAll-1-i))%255]
		if polyAt(locator, inverse) == 0 {
			c[i] ^= magnitude(s, locator, x, inverse)
			found++
		}
	}
	if _, right := syndromes(c); !right || found != wrong {
		return data, 0, true
	}
	for i := range out {
		out[i] = binary.LittleEndian.Uint32(c[4*i:])
	}
	return out, wrong, false
}

// locate is the polynomial of the wrong places (Berlekamp and Massey).
func locate(s [rsCheck]byte) []byte {
	current, before := []byte{1}, []byte{1}
	shift, last, length := 1, byte(1), 0
	for n := range s {
		delta := s[n]
		for i := 1; i <= length && i < len(current); i++ {
			delta ^= gfTimes(current[i], s[n-i])
		}
		if delta == 0 {
			shift++
			continue
		}
		old := slices.Clone(current)
		factor := gfOver(delta, last)
		for i, b := range before {
			for len(current) <= i+shift {
				current = append(current, 0)
			}
			current[i+shift] ^= gfTimes(factor, b)
		}
		if 2*length <= n {
			length, before, last, shift = n+1-length, old, delta, 1
		} else {
			shift++
		}
	}
	for len(current) > 1 && current[len(current)-1] == 0 {
		current = current[:len(current)-1]
	}
	return current
}

// magnitude is what is wrong with the byte at a place (Forney).
func magnitude(s [rsCheck]byte, locator []byte, x, inverse byte) byte {
	omega := make([]byte, rsCheck)
	for i := range omega {
		for j := 0; j <= i && j < len(locator); j++ {
			omega[i] ^= gfTimes(locator[j], s[i-j])
		}
	}
	derivative := make([]byte, 0, len(locator))
	for i := 1; i < len(locator); i++ {
		if derivative = append(derivative, 0); i%2 == 1 {
			derivative[i-1] = locator[i]
		}
	}
	return gfTimes(x, gfOver(polyAt(omega, inverse), polyAt(derivative, inverse)))
}
