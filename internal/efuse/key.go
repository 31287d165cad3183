package efuse

import (
	"cmp"
	"crypto/subtle"
	"encoding/binary"
	"math/bits"
	"slices"

	"station/internal/chip"
	"station/internal/secret"
)

// Key is a key for fuse blocks.
type Key struct {
	Purpose chip.Purpose // empty is flash encryption
	Block   string       // empty is the first that may hold it
	Policy  string       // public: "derived", "shared fleet-7"; part of a plan's digest
	Check   string       // public: the key's check value
	// Secret is the key in the order of an espsecure key file; fuses may hold it
	// byte-reversed. It is nil in a plan that is only shown.
	Secret *secret.Bytes
	// Compared says that the ledger knows this key to have been compared with
	// this chip's block before that was hidden. Nothing can compare it later.
	Compared bool
	// Beside is what is burned with it into the rest of its block, which is programmed
	// once; nil for nothing. It is public: it stays readable.
	Beside *Key
}

// For is the key's purpose.
func (k *Key) For() chip.Purpose { return cmp.Or(k.Purpose, chip.FlashEncryption) }

// Named tells that its block is the one that firmware names, on a chip of this family.
func (k *Key) Named(f *chip.Family) bool { return known(f).Seal.Keys[k.For()].Named }

// In is the block of a chip of this family that the key is for.
func (k *Key) In(f *chip.Family) string {
	if use := known(f).Seal.Keys[k.For()]; k.Block == "" && len(use.Blocks) > 0 {
		return use.Blocks[0]
	}
	return k.Block
}

// Free is the first block that can take a key for a purpose and is not among
// those taken; "" for none. A block of the ESP32 is for one purpose, whatever it holds.
func (have Image) Free(p chip.Purpose, taken ...string) string {
	f := known(have.Family)
	for _, name := range f.Seal.Keys[p].Blocks {
		b := f.Efuse.Blocks[f.Efuse.Block(name)]
		locked := have.Value("WR_DIS")>>b.WriteDisable&1 == 1
		said := b.Purpose != "" && (have.Value(b.Purpose) != 0 || have.WriteDisabled(b.Purpose))
		switch {
		case b.Coding == chip.ByField:
			return name
		case !slices.Contains(taken, name) && have.StateOf(name) == KeyEmpty && !said && !locked:
			return name
		}
	}
	return ""
}

// Placed is the block that says that it is for a purpose, or holds just this key;
// "" for none.
func (have Image) Placed(k *Key) string {
	f := known(have.Family)
	use := f.Seal.Keys[k.For()]
	for _, name := range use.Blocks {
		own := *k
		own.Block = name
		purpose := f.Efuse.Blocks[f.Efuse.Block(name)].Purpose
		if purpose == "" && !have.Torn(name) || purpose != "" && uint32(have.Value(purpose)) == use.Value || k.Secret.Len() > 0 && have.Holds(&own) == MatchWhole {
			return name
		}
	}
	return ""
}

// title names the key to people.
func (k *Key) title() string {
	switch k.For() {
	case chip.FlashEncryption, chip.FlashEncryption128:
		return "device key"
	case chip.FlashEncryption1:
		return "device key, first half"
	case chip.FlashEncryption2:
		return "device key, second half"
	case chip.SecureBootV2, chip.SecureBootDigest, chip.SecureBootDigest0, chip.SecureBootDigest1, chip.SecureBootDigest2:
		return "secure boot key digest"
	case chip.HMAC:
		return "HMAC key"
	case chip.HMACUpdates:
		return "HMAC key for updates"
	}
	return string(k.For()) + " key"
}

// target is the key's block, with its purpose where that is not the usual one.
func (k *Key) target(f *chip.Family) string {
	if k.For() == chip.FlashEncryption {
		return k.In(f)
	}
	return k.In(f) + " " + string(k.For())
}

// words are the key as its block reads once it is burned, with what is beside it. The
// caller overwrites them.
func (k *Key) words(f *chip.Family) []uint32 {
	key, use := k.Secret.Reveal(), f.Seal.Keys[k.For()]
	if use.PartOf != 0 {
		key = key[use.At:][:use.Bytes]
	}
	out := make([]uint32, 8)
	for w := range len(key) / 4 {
		if use.Reversed {
			out[use.Word+w] = keyWord(key, w)
		} else {
			out[use.Word+w] = binary.LittleEndian.Uint32(key[4*w:])
		}
	}
	if k.Beside != nil {
		copy(out[f.Seal.Keys[k.Beside.For()].Word:], k.Beside.part(f))
	}
	return out
}

// part are the words of a key that has a part of its block alone.
func (k *Key) part(f *chip.Family) []uint32 {
	use := f.Seal.Keys[k.For()]
	return k.words(f)[use.Word:][:use.Bytes/4]
}

// Match says how a block and a key agree.
type Match int

// The ways in which a block and a key can agree.
const (
	MatchEmpty   Match = iota // the block holds nothing
	MatchPart                 // it holds some of the key's bits and no others: a torn burn
	MatchWhole                // it is the key
	MatchForeign              // it holds bits that the key has not
	MatchHidden               // it is read-protected: nobody can tell
)

// Holds compares the key's block with it. Without a key, bits of the first key
// block are foreign.
func (have Image) Holds(k *Key) Match {
	f := known(have.Family)
	if k == nil {
		k = &Key{}
	}
	block := f.Efuse.Block(k.In(f))
	if block < 0 {
		return MatchForeign
	}
	switch have.stateOf(block) {
	case KeyHidden:
		if k.Beside != nil && !have.shows(k.Beside) {
			return MatchForeign
		}
		return MatchHidden
	case KeyEmpty:
		return MatchEmpty
	}
	if n := k.Secret.Len(); n == 0 || n != f.KeyBytes(k.For(), have.Coding()) {
		return MatchForeign
	}
	got, ok := have.kept(block)
	defer clear(got)
	if !ok {
		return MatchForeign // wiped
	}
	want := k.words(f)
	defer clear(want)
	return codingOf(f.Efuse.Blocks[block], have.Coding()).match(want, got, have.flagged(block))
}

// kept are the words of a block that may hold a key, as read; false where they were
// wiped. The caller overwrites them.
func (have Image) kept(block int) ([]uint32, bool) {
	words, kept := make([]uint32, 8), have.secrets[block]
	if kept == nil {
		return words, true
	}
	if kept.Len() == 0 {
		return words, false
	}
	getWords(words, kept.Reveal())
	return words, true
}

// shows reports that the part of its block which a key has can be read and is that
// key, whatever the rest holds.
func (have Image) shows(k *Key) bool {
	f := known(have.Family)
	use := f.Seal.Keys[k.For()]
	words, ok := have.kept(f.Efuse.Block(k.In(f)))
	defer clear(words)
	return ok && have.StateOfKey(k) == KeyWritten && slices.Equal(words[use.Word:][:use.Bytes/4], k.part(f))
}

// threeQuarters stores six bytes of data in eight, with two of check.
type threeQuarters struct{}

// load loads a chunk whole or not at all, and every chunk while the decoder
// complains about the block.
func (threeQuarters) load(want, have []uint32, flagged bool) ([]uint32, error) {
	out := make([]uint32, 8)
	for n := range 4 {
		if flagged || !chunkRight(want, have, n) {
			d := chunkOf(want, n)
			coded := d.encode()
			out[2*n], out[2*n+1] = binary.LittleEndian.Uint32(coded[:]), binary.LittleEndian.Uint32(coded[4:])
			clear(d[:])
			clear(coded[:])
		}
	}
	return out, nil
}

func chunkRight(want, have []uint32, n int) bool {
	var differ uint32
	for half := 3 * n; half < 3*n+3; half++ { // in units of 16 bits
		differ |= (have[half/2] ^ want[half/2]) >> (16 * (half % 2)) & 0xffff
	}
	return differ == 0
}

// chunkOf is the n-th six bytes of a block's words.
func chunkOf(words []uint32, n int) (c chunk) {
	for i := range c {
		at := 6*n + i
		c[i] = byte(words[at/4] >> (8 * (at % 4)))
	}
	return c
}

// match compares chunk by chunk. A chunk that holds bits may only become
// the chunk that was meant: its code bits are there too, unseen. It is ours if
// its code word lies within the key's, or if the decoder flags it as torn.
func (threeQuarters) match(words, got []uint32, flagged bool) Match {
	if got[6]|got[7] != 0 {
		return MatchForeign // the coding leaves two words unused
	}
	result := MatchWhole
	if flagged {
		result = MatchPart
	}
	for n := range 4 {
		want, have := chunkOf(words, n), chunkOf(got, n)
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

// keyWord is word w of a block as it reads once the key is burned in reverse.
func keyWord(key []byte, w int) uint32 {
	if 4*w >= len(key) {
		return 0
	}
	return binary.BigEndian.Uint32(key[len(key)-4*(w+1):])
}

// allZero reports a key that cannot be one.
func allZero(key []byte) bool {
	var any byte
	for _, b := range key {
		any |= b
	}
	return any == 0
}
