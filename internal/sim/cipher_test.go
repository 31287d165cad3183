package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// expand is the fixtures' plain text: SHA-256 of seed and counter, one after another.
func expand(seed string, n int) []byte {
	var b []byte
	for i := uint32(0); len(b) < n; i++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(seed), i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// fileKey is a key file of 32 or 24 bytes as 32, through the fuses.
func fileKey(t *testing.T, file []byte) [32]byte {
	t.Helper()
	if len(file) == 32 {
		return blockKey(keyWords(file), codingNone)
	}
	var shown [8]uint32
	for i := range 6 {
		shown[5-i] = binary.BigEndian.Uint32(file[4*i:])
	}
	return blockKey(shown, coding34)
}

func TestCipherKnownAnswers(t *testing.T) {
	b, err := os.ReadFile("../../fixtures/flashcrypt.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name, Key, PlainSeed, CipherSHA256 string
		Address, CryptConfig               uint32
		PlainLen, CipherLen                int
		Plain, Cipher                      string
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	whole := 0
	for _, c := range cases {
		f := newFlashCipher(fileKey(t, unhex(t, c.Key)), c.CryptConfig)
		plain := expand(c.PlainSeed, c.PlainLen)
		n := c.PlainLen &^ 15
		got := bytes.Clone(plain[:n])
		f.encrypt(got, c.Address)
		if c.Cipher != "" && !bytes.Equal(got, unhex(t, c.Cipher)[:n]) {
			t.Errorf("%s: got %x, want %s", c.Name, got, c.Cipher)
		}
		if c.CipherLen == n {
			whole++
			if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != c.CipherSHA256 {
				t.Errorf("%s: wrong cipher text", c.Name)
			}
		}
		f.decrypt(got, c.Address)
		if !bytes.Equal(got, plain[:n]) {
			t.Errorf("%s: decrypted to something else", c.Name)
		}
	}
	if len(cases) < 48 || whole < 20 {
		t.Errorf("got %d cases, %d of them whole", len(cases), whole)
	}
}

// A key burned as the documented tools burn it, in both coding schemes, is
// what the decryptor takes and what the host reads back.
func TestKeyWordsOfTheFuses(t *testing.T) {
	b, err := os.ReadFile("../../fixtures/efuse-key.json")
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Scheme, Key                         string
		Protect                             bool
		Block0Read, Block1Read, Block1Write []string
	}
	if err := json.Unmarshal(b, &cases); err != nil {
		t.Fatal(err)
	}
	word := func(s string) uint32 { return binary.BigEndian.Uint32(unhex(t, s)) }
	for _, c := range cases {
		o := Options{}
		if c.Scheme == "3/4" {
			o.Coding = coding34
		}
		chip, h := loaderHost(t, o)
		set := map[int]uint32{}
		for i, s := range c.Block1Write {
			set[7+i] = word(s)
		}
		h.burn(40, set)
		if c.Protect {
			h.burn(40, map[int]uint32{0: 1<<16 | 1<<7})
		}
		for i, s := range c.Block1Read {
			if got := h.rdata(7 + i); got != word(s) {
				t.Errorf("%s, protected %v: word %d: got %08x, want %s", c.Scheme, c.Protect, i, got, s)
			}
		}
		if got := h.rdata(0); got != word(c.Block0Read[0]) {
			t.Errorf("%s: BLOCK0: got %08x, want %s", c.Scheme, got, c.Block0Read[0])
		}
		if got := h.reg(fuseBase + fuseDEC); got != 0 {
			t.Errorf("%s: DEC_STATUS: got %#x", c.Scheme, got)
		}
		if got, want := chip.storedKey(), fileKey(t, unhex(t, c.Key)); got != want {
			t.Errorf("%s: the decryptor's key: got %x, want %x", c.Scheme, got, want)
		}
	}
}

func BenchmarkDecrypt(b *testing.B) {
	f := newFlashCipher(testKey, 0xf)
	p := make([]byte, 1<<20)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		f.decrypt(p, 0x10000)
	}
}
