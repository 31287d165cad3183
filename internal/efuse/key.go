package efuse

import (
	"crypto/subtle"
	"encoding/binary"
	"math/bits"

	"station/internal/chip"
	"station/internal/secret"
)

// Key is a flash-encryption key for BLOCK1.
type Key struct {
	Policy string // public: "derived", "shared fleet-7"; part of a plan's digest
	Check  string // public: the key's check value
	// Secret is the key in the order of an espsecure key file; fuses hold it
	// byte-reversed. It is nil in a plan that is only shown.
	Secret *secret.Bytes
	// Compared says that the ledger knows this key to have been compared with
	// this chip's BLOCK1 before that was hidden. Nothing can compare it later.
	Compared bool
}

// Match says how BLOCK1 and a key agree.
type Match int

// The ways in which BLOCK1 and a key can agree.
const (
	MatchEmpty   Match = iota // BLOCK1 holds nothing
	MatchPart                 // BLOCK1 holds some of the key's bits and no others: a torn burn
	MatchWhole                // BLOCK1 is the key
	MatchForeign              // BLOCK1 holds bits that the key has not
	MatchHidden               // BLOCK1 is read-protected: nobody can tell
)

// Holds compares BLOCK1 with the key. Without a key, bits are foreign.
func (have Image) Holds(k *Key) Match {
	switch have.KeyState() {
	case KeyHidden:
		return MatchHidden
	case KeyEmpty:
		return MatchEmpty
	}
	var key []byte
	if k != nil {
		key = k.Secret.Reveal()
	}
	if len(key) == 0 || len(key) != have.Coding().KeyBytes() {
		return MatchForeign
	}
	got := have.block1.Reveal()
	if have.block1 == nil {
		got = make([]byte, 32) // only check bits are set
	}
	if len(got) == 0 {
		return MatchForeign // wiped
	}
	if have.Coding() == chip.Coding34 {
		return match34(got, key, have.flagged(1))
	}
	return match(got, key)
}

func match(got, key []byte) Match {
	var extra, missing byte
	for i, g := range got {
		k := key[len(key)-1-i]
		extra |= g &^ k
		missing |= k &^ g
	}
	switch {
	case extra != 0:
		return MatchForeign
	case missing != 0:
		return MatchPart
	}
	return MatchWhole
}

// match34 compares chunk by chunk. A chunk that holds bits may only become
// the chunk that was meant: its code bits are there too, unseen. It is ours if
// its code word lies within the key's, or if the decoder flags it as torn.
func match34(got, key []byte, flagged bool) Match {
	if !allZero(got[24:]) {
		return MatchForeign // the coding leaves two words unused
	}
	result := MatchWhole
	if flagged {
		result = MatchPart
	}
	for c := range 4 {
		var want chunk
		for i := range want {
			want[i] = key[23-6*c-i]
		}
		have := chunk(got[6*c:])
		switch {
		case subtle.ConstantTimeCompare(have[:], want[:]) == 1:
		case !within(have[:], want[:]):
			return MatchForeign
		case have == chunk{}, flagged:
			result = MatchPart
		default:
			h, w := have.encode(), want.encode()
			if !within(h[:], w[:]) {
				return MatchForeign
			}
			result = MatchPart
		}
		clear(want[:])
	}
	return result
}

func within(a, b []byte) bool {
	var extra byte
	for i := range a {
		extra |= a[i] &^ b[i]
	}
	return extra == 0
}

// chunk is six data bytes of the 3/4 coding scheme.
type chunk [6]byte

// encode adds the two check bytes: the exclusive or, and the sum of each
// byte's count of ones times its position (ESP-IDF esp_efuse_utility.c).
//
//	d0 d1 d2 d3 d4 d5 X Y
func (c chunk) encode() [8]byte {
	var out [8]byte
	for i, d := range c {
		out[i] = d
		out[6] ^= d
		out[7] += byte((i + 1) * bits.OnesCount8(d))
	}
	return out
}

// keyWord is word w of BLOCK1 as it reads once the key is burned.
func keyWord(key []byte, w int) uint32 {
	if 4*w >= len(key) {
		return 0
	}
	return binary.BigEndian.Uint32(key[len(key)-4*(w+1):])
}

// codedWord is word w of BLOCK1 as it must be written to burn the key.
func codedWord(key []byte, c chip.Coding, w int) uint32 {
	if c != chip.Coding34 {
		return keyWord(key, w)
	}
	var d chunk
	for i := range d {
		d[i] = key[len(key)-1-6*(w/2)-i]
	}
	out := d.encode()
	word := binary.LittleEndian.Uint32(out[4*(w%2):])
	clear(d[:])
	clear(out[:])
	return word
}

// allZero reports a key that cannot be one.
func allZero(key []byte) bool {
	var any byte
	for _, b := range key {
		any |= b
	}
	return any == 0
}
