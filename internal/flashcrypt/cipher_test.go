package flashcrypt

import (
	"bytes"
	"crypto/aes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"station/internal/secret"
)

func cipherOf(t testing.TB, key []byte, config uint8) *Cipher {
	t.Helper()
	k, err := secret.New(bytes.Clone(key))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Destroy()
	c, err := New(k, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Destroy)
	return c
}

func count(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkBoth holds Encrypt and Decrypt against one known answer.
func checkBoth(t *testing.T, c *Cipher, addr uint32, plain, cipher []byte) {
	t.Helper()
	got := make([]byte, len(plain))
	if err := c.Encrypt(got, plain, addr); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, cipher) {
		t.Errorf("encrypt at %#x:\n got %x\nwant %x", addr, got, cipher)
	}
	if err := c.Decrypt(got, got, addr); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, plain) {
		t.Errorf("decrypt at %#x does not give the plain text", addr)
	}
}

func TestSmallAnswers(t *testing.T) {
	for _, v := range []struct {
		key    int
		config uint8
		addr   uint32
		plain  []byte
		cipher string
	}{
		{32, 0xf, 0x0, count(32), "12a1ca1afd2e84819588f76945e0f107 108c61e2db61a4ab5b13f5356eebfe15"},
		{32, 0xf, 0x1000, count(32), "a354ea55e9d9d83cd027e80a6b03a53c fc3886d3f8090e2da27c51dbc4a61351"},
		{32, 0xf, 0x8000, count(32), "409595b409d879e9bac10551d00435be 7e9f68477e8c6a4a5516d3a08dafe573"},
		{32, 0xf, 0x10000, count(64), "83630c7cfe5f7a97258302bbf469bbaa d1ee15f32aa45a1b5a3239e452effdcd" +
			"55635e401f09324e8744640ecf99304d c124f2f6b4f94824d232a1184e97c9ac"},
		{32, 0xf, 0x10010, count(32), "83630c7cfe5f7a97258302bbf469bbaa 8e65b794ff1149e67e8e6f49c3f9c37f"},
		{32, 0xf, 0xffffe0, count(32), "813ae5ac488dc2afc2c62173d77b6309 f7c98bd6806f287f5c982b532a36684d"},
		{32, 0x0, 0x10000, count(16), "12a1ca1afd2e84819588f76945e0f107"},
		{32, 0x1, 0x10000, count(16), "03a5b6dc29353dc5e186f699a1ddeb0e"},
		{32, 0x2, 0x10000, count(16), "a40b98b6b3c93f385e1940b8183f3aa5"},
		{32, 0x4, 0x10000, count(16), "c91a7f9cf4cd8c9aa1e344a7272a0444"},
		{32, 0x8, 0x10000, count(16), "9c0294ea0caa1f7881e732f2b78a4297"},
		{32, 0x3, 0x10000, count(16), "f71f343f9cb8c3752837563de6bb20f5"},
		{24, 0xf, 0x10000, count(32), "73e536cea016a41b32028c054d703fe6 3c98fd781c68665a8a08d79dc03856a2"},
		{32, 0xf, 0x9000, bytes.Repeat([]byte{0xff}, 32), strings.Repeat("435ad82569bd0ed4a7f10632e3212d13", 2)},
	} {
		t.Run(fmt.Sprintf("key%d/config%x/%#x", v.key, v.config, v.addr), func(t *testing.T) {
			checkBoth(t, cipherOf(t, count(v.key), v.config), v.addr, v.plain, unhex(t, v.cipher))
		})
	}
}

func TestTweakedKeys(t *testing.T) {
	key := count(32)
	c := cipherOf(t, key, 0xf)
	for addr, want := range map[uint32]string{
		0x1000:  "0011020104054617080b0a0b4c0d0607 1010121334151217181b1a1b5c1d161f",
		0x8000:  "008102130407060708190a090c0d4e0f 101912121415361718091a191c1d5e1f",
		0x10000: "010102230401060708290a0f0c0d8e0f 100112111415561718391a1f1c1d9e1f",
	} {
		var s schedule
		c.tweak(&s, key, addr)
		got := make([]byte, KeySize)
		for i := range KeySize / 4 {
			binary.BigEndian.PutUint32(got[4*i:], s.word(i))
		}
		if !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("%#x: got %x, want %s", addr, got, want)
		}
	}
}

func TestLongAnswers(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	pattern := make([]byte, 0x10000)
	for i := range pattern {
		pattern[i] = byte(7*i + 3)
	}
	for _, v := range []struct {
		addr  uint32
		plain []byte
		sum   string
	}{
		{0xd000, bytes.Repeat([]byte{0xff}, 4096), "d60e4aaf705aa6b06575b782c62e29dd585d787bfd4906b85e785c508b4b1232"},
		{0x10000, pattern, "40684403f41865e675801209e4949d20bd5d0befae7977be22535f800f2fd92a"},
	} {
		out := make([]byte, len(v.plain))
		if err := c.Encrypt(out, v.plain, v.addr); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%x", sha256.Sum256(out)); got != v.sum {
			t.Errorf("%d bytes at %#x: got sha256 %s, want %s", len(out), v.addr, got, v.sum)
		}
	}
}

// vector is an answer of espsecure, see fixtures/README.md.
type vector struct {
	Name         string
	Key          string
	Address      uint32
	CryptConfig  uint8
	PlainSeed    string
	PlainLen     int
	CipherLen    int
	PlainSha256  string
	CipherSha256 string
	Cipher       string
}

func (v vector) plain() []byte {
	var b []byte
	for n := uint32(0); len(b) < v.PlainLen; n++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(v.PlainSeed), n))
		b = append(b, sum[:]...)
	}
	return b[:v.PlainLen]
}

func vectors(t *testing.T) []vector {
	t.Helper()
	raw, err := os.ReadFile("../../fixtures/flashcrypt.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(raw, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 48 {
		t.Fatalf("got %d vectors, want 48", len(list))
	}
	return list
}

func TestVectors(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.Name, func(t *testing.T) {
			c := cipherOf(t, unhex(t, v.Key), v.CryptConfig)
			plain := v.plain()
			if got := fmt.Sprintf("%x", sha256.Sum256(plain)); got != v.PlainSha256 {
				t.Fatalf("plain text: got sha256 %s, want %s", got, v.PlainSha256)
			}
			// What espsecure padded, it padded with random bytes.
			whole := v.PlainLen / BlockSize * BlockSize
			out := make([]byte, whole)
			if err := c.Encrypt(out, plain[:whole], v.Address); err != nil {
				t.Fatal(err)
			}
			if v.CipherLen == v.PlainLen {
				if got := fmt.Sprintf("%x", sha256.Sum256(out)); got != v.CipherSha256 {
					t.Errorf("cipher text: got sha256 %s, want %s", got, v.CipherSha256)
				}
			}
			if v.Cipher != "" && !bytes.Equal(out, unhex(t, v.Cipher)[:whole]) {
				t.Errorf("got %x, want %s", out, v.Cipher)
			}
			if err := c.Decrypt(out, out, v.Address); err != nil || !bytes.Equal(out, plain[:whole]) {
				t.Errorf("decrypt gives other bytes (%v)", err)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	for _, v := range []struct {
		n    int
		addr uint32
		want string
	}{
		{16, 0x1008, "address 0x1008 is not a multiple of 16"},
		{15, 0x1000, "length 15 is not a multiple of 16"},
		{16, 0x1000000, "end above 0x1000000"},
		{48, 0xffffe0, "end above 0x1000000"},
		{16, 0xfffffff0, "end above 0x1000000"},
	} {
		b := make([]byte, v.n)
		for _, err := range []error{c.Encrypt(b, b, v.addr), c.Decrypt(b, b, v.addr)} {
			if err == nil || !strings.Contains(err.Error(), v.want) {
				t.Errorf("%d bytes at %#x: got %v, want %q", v.n, v.addr, err, v.want)
			}
		}
	}
	if err := c.Encrypt(make([]byte, 16), make([]byte, 32), 0); err == nil {
		t.Error("a short destination was accepted")
	}
	for _, n := range []int{0, 16, 31, 33} {
		k, _ := secret.Make(n)
		if _, err := New(k, 0xf); err == nil {
			t.Errorf("a key of %d bytes was accepted", n)
		}
	}
	k, _ := secret.Make(32)
	if _, err := New(k, 16); err == nil || !strings.Contains(err.Error(), "FLASH_CRYPT_CONFIG") {
		t.Errorf("config 16: got %v", err)
	}
}

func TestDestroyed(t *testing.T) {
	c := cipherOf(t, count(32), 0xf)
	c.Destroy()
	c.Destroy()
	b := make([]byte, 16)
	if err := c.Encrypt(b, b, 0); !errors.Is(err, ErrDestroyed) {
		t.Errorf("got %v, want %v", err, ErrDestroyed)
	}
}

// FuzzCipher holds the cipher against its definition in terms of crypto/aes,
// and against itself backwards.
func FuzzCipher(f *testing.F) {
	f.Add(count(32), uint8(0xf), uint32(0x10010), []byte("0123456789abcdef0123456789abcdef"))
	f.Add(count(24), uint8(3), uint32(0xfffff0), []byte("0123456789abcdef"))
	f.Fuzz(func(t *testing.T, key []byte, config uint8, addr uint32, plain []byte) {
		if len(key) != 24 && len(key) != 32 || config > 15 {
			return
		}
		plain = plain[:len(plain)/16*16]
		addr = addr % Limit &^ 15
		if int(addr)+len(plain) > Limit {
			return
		}
		c := cipherOf(t, key, config)
		defer c.Destroy()
		checkBoth(t, c, addr, plain, byDefinition(t, key, config, addr, plain))
	})
}

// byDefinition follows the written algorithm bit by bit.
func byDefinition(t *testing.T, key []byte, config uint8, addr uint32, plain []byte) []byte {
	if len(key) == 24 {
		key = append(slices.Clone(key), key[8:16]...)
	}
	var pattern []int
	for _, lowest := range []int{14, 12, 10, 8} {
		for range 3 {
			pattern = append(pattern, run(23)...)
		}
		pattern = append(pattern, run(lowest)...)
	}
	var out []byte
	for o := 0; o < len(plain); o += 16 {
		tweaked := slices.Clone(key)
		for n, bit := range pattern {
			quarter := map[bool]uint8{n < 67: 0, n >= 67 && n < 132: 1, n >= 132 && n < 195: 2, n >= 195: 3}[true]
			if config>>quarter&1 == 1 && (addr+uint32(o))>>bit&1 == 1 {
				tweaked[n/8] ^= 0x80 >> (n % 8)
			}
		}
		b := slices.Clone(plain[o : o+16])
		slices.Reverse(b)
		k, err := aes.NewCipher(tweaked)
		if err != nil {
			t.Fatal(err)
		}
		k.Decrypt(b, b)
		slices.Reverse(b)
		out = append(out, b...)
	}
	return out
}

// run counts address bits from high down to 5.
func run(high int) (bits []int) {
	for b := high; b >= 5; b-- {
		bits = append(bits, b)
	}
	return bits
}

func BenchmarkEncrypt(b *testing.B) { benchmark(b, (*Cipher).Encrypt) }
func BenchmarkDecrypt(b *testing.B) { benchmark(b, (*Cipher).Decrypt) }

func benchmark(b *testing.B, run func(*Cipher, []byte, []byte, uint32) error) {
	c := cipherOf(b, count(32), 0xf)
	buf := make([]byte, 1<<20)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if err := run(c, buf, buf, 0x10000); err != nil {
			b.Fatal(err)
		}
	}
}
