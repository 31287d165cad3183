package efuse

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"station/internal/chip"
)

// Every case is what Espressif's tool burned into and read from a virtual
// chip. The whole way is tested: plan, burn, read back.
func TestKnownKeys(t *testing.T) {
	var cases []struct {
		Scheme                              string
		Key                                 string
		Protect                             bool
		Block0Read, Block1Read, Block1Write []string
	}
	raw, err := os.ReadFile("../../fixtures/efuse-key.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &cases); err != nil {
		t.Fatal(err)
	}
	if len(cases) != 16 {
		t.Fatalf("%d cases", len(cases))
	}
	for i, tc := range cases {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			c := newChip(t)
			c.raw[0] = [8]uint32{}
			if tc.Scheme == "3/4" {
				c.raw[0][6] = 1
			}
			c.latchAll()
			b, err := hex.DecodeString(tc.Key)
			if err != nil {
				t.Fatal(err)
			}
			p := mustNew(t, Options{Mode: Development}).WithKey(keyOf(t, b)).Only(StageKey, StageProtect)
			if err := c.burnAll(p[:1]); err != nil {
				t.Fatal(err)
			}
			if got := words(c.lastPgm[1][:]); got != fmt.Sprint(tc.Block1Write) {
				t.Errorf("written: got %v, want %v", got, tc.Block1Write)
			}
			if tc.Protect {
				if err := c.burnAll(p[1:]); err != nil {
					t.Fatal(err)
				}
			}
			v, _ := c.ReadRegs(t.Context(), surveyAddrs...)
			if got := words(v[:7]); got != fmt.Sprint(tc.Block0Read) {
				t.Errorf("BLOCK0: got %v, want %v", got, tc.Block0Read)
			}
			if got := words(v[7:15]); got != fmt.Sprint(tc.Block1Read) {
				t.Errorf("BLOCK1: got %v, want %v", got, tc.Block1Read)
			}
			c.clean()
		})
	}
}

func words(v []uint32) string {
	var out []string
	for _, w := range v {
		out = append(out, fmt.Sprintf("%08x", w))
	}
	return fmt.Sprint(out)
}

// Worked examples of the data sheet of facts: key bytes 00, 01, 02 …
func TestKeyWords(t *testing.T) {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(i)
	}
	for _, tc := range []struct {
		name string
		word func(w int) uint32
		want [8]uint32
	}{
		{"none", func(w int) uint32 { return codedWord(key, chip.CodingNone, w) },
			[8]uint32{0x1c1d1e1f, 0x18191a1b, 0x14151617, 0x10111213, 0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203}},
		{"3/4 written", func(w int) uint32 { return codedWord(key[:24], chip.Coding34, w) },
			[8]uint32{0x14151617, 0x36011213, 0x0e0f1011, 0x37010c0d, 0x08090a0b, 0x2c010607, 0x02030405, 0x13010001}},
		{"3/4 read", func(w int) uint32 { return keyWord(key[:24], w) },
			[8]uint32{0x14151617, 0x10111213, 0x0c0d0e0f, 0x08090a0b, 0x04050607, 0x00010203}},
	} {
		for w, want := range tc.want {
			if got := tc.word(w); got != want {
				t.Errorf("%s, word %d: got %08x, want %08x", tc.name, w, got, want)
			}
		}
	}
}

func TestHolds(t *testing.T) {
	for _, scheme := range []uint32{0, 1, 3} {
		n := 32
		if scheme == 1 {
			n = 24
		}
		k := testKey(t, n)
		other := testKey(t, n)
		other.Secret.Reveal()[3] ^= 0x40
		key := k.Secret.Reveal()
		whole := func(c *virtual) {
			for w := range 8 {
				c.raw[1][w] = codedWord(key, chip.Coding(scheme%3), w)
			}
		}
		for _, tc := range []struct {
			name string
			set  func(c *virtual)
			key  *Key
			want Match
		}{
			{"empty", func(*virtual) {}, k, MatchEmpty},
			{"empty, no key", func(*virtual) {}, nil, MatchEmpty},
			{"whole", whole, k, MatchWhole},
			{"whole, no key", whole, nil, MatchForeign},
			{"whole, other key", whole, other, MatchForeign},
			{"whole, key of wrong size", whole, testKey(t, 16), MatchForeign},
			{"one bit missing", func(c *virtual) { whole(c); c.raw[1][0] &= c.raw[1][0] - 1 }, k, MatchPart},
			{"one word", func(c *virtual) { whole(c); clear(c.raw[1][1:]) }, k, MatchPart},
			{"last half", func(c *virtual) { whole(c); clear(c.raw[1][:4]) }, k, MatchPart},
			{"one bit more", func(c *virtual) { whole(c); c.raw[1][2] |= c.raw[1][2] + 1 }, k, MatchForeign},
			{"hidden", func(c *virtual) { whole(c); c.raw[0][0] |= 1 << 16 }, k, MatchHidden},
		} {
			c := newChip(t)
			c.raw[0][6] |= scheme
			tc.set(c)
			c.latchAll()
			if got := c.image().Holds(tc.key); got != tc.want {
				t.Errorf("scheme %d, %s: got %v, want %v", scheme, tc.name, got, tc.want)
			}
		}
	}
}

// Under 3/4 a chunk of somebody else may read as a subset of ours while its
// check bytes are not.
func TestHoldsChunk(t *testing.T) {
	k := testKey(t, 24)
	c := newChip(t)
	c.raw[0][6] |= 1
	d := chunk{k.Secret.Reveal()[23]} // one byte of ours, coded right: its check bytes differ
	code := d.encode()
	c.raw[1][0] = uint32(code[0])
	c.raw[1][1] = uint32(code[6])<<16 | uint32(code[7])<<24
	c.latchAll()
	if have := c.image(); have.words[atDec] != 0 || have.Holds(k) != MatchForeign {
		t.Errorf("a foreign chunk: got %v, status %03x", have.Holds(k), have.words[atDec])
	}
	// A code word that lies wholly within ours can become ours.
	k2 := testKey(t, 24)
	copy(k2.Secret.Reveal()[18:], []byte{0, 0, 0, 0, 2, 1}) // d0 = 1, d1 = 2: check bytes 3, 3
	c = newChip(t)
	c.raw[0][6] |= 1
	c.raw[1][0], c.raw[1][1] = 1, 0x0101_0000
	c.latchAll()
	if have := c.image(); have.words[atDec] != 0 || have.Holds(k2) != MatchPart {
		t.Errorf("a part of ours: got %v, status %03x", have.Holds(k2), have.words[atDec])
	}
	if _, err := Burn(t.Context(), c, 40, c.seen(), Stage{Name: "a", Key: k2}); err != nil || c.image().Holds(k2) != MatchWhole {
		t.Errorf("completing it: %v", err)
	}
	// All data bits, but not all check bits.
	c = newChip(t)
	c.raw[0][6] |= 1
	for w := range 8 {
		c.raw[1][w] = codedWord(k.Secret.Reveal(), chip.Coding34, w)
	}
	c.raw[1][3] &= 0x00ff_ffff
	c.latchAll()
	if have := c.image(); have.words[atDec] == 0 || have.Holds(k) != MatchPart {
		t.Errorf("a check bit missing: got %v, status %03x", have.Holds(k), have.words[atDec])
	}
	if _, err := Burn(t.Context(), c, 40, c.seen(), Stage{Name: "a", Key: k}); err != nil || c.image().Holds(k) != MatchWhole {
		t.Errorf("completing it: %v", err)
	}
	// Only check bits of a torn burn: everything reads zero.
	c = newChip(t)
	c.raw[0][6] |= 1
	c.raw[1][1] = codedWord(k.Secret.Reveal(), chip.Coding34, 1) & 0xff00_0000
	c.latchAll()
	if have := c.image(); have.KeyState() != KeyWritten || have.Holds(k) != MatchPart {
		t.Errorf("check bits only: got %v, %v", have.KeyState(), have.Holds(k))
	}
}

// Any subset of a key's bits is completed to the key, in both codings.
func TestTornKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, scheme := range []chip.Coding{chip.CodingNone, chip.Coding34} {
		k := testKey(t, scheme.KeyBytes())
		s := mustNew(t, Options{Mode: Release}).WithKey(k).Only(StageKey)[0]
		for range 200 {
			c := newChip(t)
			c.raw[0][6] |= uint32(scheme)
			var want [8]uint32
			for w := range want {
				want[w] = codedWord(k.Secret.Reveal(), scheme, w)
				c.raw[1][w] = want[w] & rnd.Uint32() & (rnd.Uint32() | -(rnd.Uint32() & 1))
			}
			c.latchAll()
			have, err := Burn(t.Context(), c, 40, c.seen(), s)
			if err != nil {
				t.Fatalf("%v: %v", scheme, err)
			}
			if c.raw[1] != want || have.Holds(k) != MatchWhole || have.words[atDec] != 0 {
				t.Fatalf("%v: got %08x, want %08x", scheme, c.raw[1], want)
			}
			c.clean()
		}
	}
}
