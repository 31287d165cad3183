package otaimage

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"station/internal/keyfile"
	"station/internal/secret"
)

// vectorKey is a key that the reference tool's images of fixtures/ota were made for.
func vectorKey(t testing.TB, name string) crypto.PrivateKey {
	t.Helper()
	data, err := os.ReadFile("../../fixtures/ota/" + name + ".pem")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.ReadPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What the reference tool made opens to what it was made of, with its key only.
func TestReferenceImages(t *testing.T) {
	want, err := os.ReadFile("../../fixtures/small/app.bin")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"rsa", "ecies"} {
		file, err := os.ReadFile("../../fixtures/ota/" + name + ".ota")
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(file, vectorKey(t, name))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d other bytes, %v", name, len(got), err)
		}
		for _, other := range []string{"rsa", "ecies"} {
			if other != name {
				if _, err := Open(file, vectorKey(t, other)); !errors.Is(err, errOther) {
					t.Errorf("%s opens with the key of %s: %v", name, other, err)
				}
			}
		}
	}
}

// gcm is the standard library's, whatever the IV, the length and the pieces.
func TestGCM(t *testing.T) {
	for n := range 120 {
		raw, iv, plain := make([]byte, 32), make([]byte, 16), make([]byte, n*n)
		rand.Read(raw)
		rand.Read(iv)
		rand.Read(plain)
		block, err := aes.NewCipher(raw)
		if err != nil {
			t.Fatal(err)
		}
		std, err := cipher.NewGCMWithNonceSize(block, 16)
		if err != nil {
			t.Fatal(err)
		}
		want := std.Seal(nil, iv, plain, nil)
		key, err := secret.New(slices.Clone(raw))
		if err != nil {
			t.Fatal(err)
		}
		g, err := newGCM(key, [16]byte(iv))
		if err != nil {
			t.Fatal(err)
		}
		got := slices.Clone(plain)
		for at := 0; at < len(got); {
			end := min(len(got), at+16*(1+n%7))
			g.encrypt(got[at:end])
			at = end
		}
		tag := g.tag()
		if !bytes.Equal(append(got, tag[:]...), want) {
			t.Fatalf("%d bytes differ from the standard library's", len(plain))
		}
		key.Destroy()
	}
}

// The counter wraps at 32 bits and touches nothing before them.
func TestCounterWraps(t *testing.T) {
	block, err := aes.NewCipher(count(32))
	if err != nil {
		t.Fatal(err)
	}
	c := counter{block: block, at: [16]byte{15: 0xfe, 14: 0xff, 13: 0xff, 12: 0xff, 11: 7}}
	got := make([]byte, 64)
	c.XORKeyStream(got, got)
	for i, last := range []uint32{0xfffffffe, 0xffffffff, 0, 1} {
		in := [16]byte{11: 7, 12: byte(last >> 24), 13: byte(last >> 16), 14: byte(last >> 8), 15: byte(last)}
		var want [16]byte
		block.Encrypt(want[:], in[:])
		if !bytes.Equal(got[16*i:16*i+16], want[:]) {
			t.Errorf("block %d is of another counter", i)
		}
	}
}

func TestECIES(t *testing.T) {
	key := vectorKey(t, "ecies").(*ecdsa.PrivateKey)
	image := count(100_001)
	file, err := Seal(image, &key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open(file, key); err != nil || !bytes.Equal(got, image) {
		t.Errorf("other bytes came back (%v)", err)
	}
	if slices.Max(file[4+96:388]) != 0 {
		t.Error("there is something behind the salt")
	}
	for name, at := range map[string]int{"point": 10, "salt": 70, "zeros": 200, "IV": 390, "tag": 410, "cipher text": 600} {
		b := bytes.Clone(file)
		b[at] ^= 1
		if _, err := Open(b, key); !errors.Is(err, errOther) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	other, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(image, &other.PublicKey); err == nil || !strings.Contains(err.Error(), "not on P-256") {
		t.Errorf("P-384: %v", err)
	}
	if _, err := Open(file, other); err == nil || !strings.Contains(err.Error(), "not on P-256") {
		t.Errorf("P-384: %v", err)
	}
}

// An image larger than what may be in memory goes both ways through a file, and
// nothing of a changed one comes out.
func TestStream(t *testing.T) {
	const size = 6 << 20
	key := vectorKey(t, "ecies").(*ecdsa.PrivateKey)
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	image := io.LimitReader(pattern{}, size)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := SealTo(f, image, size, &key.PublicKey); err != nil {
		t.Fatal(err)
	}
	check := &patternCheck{}
	if err := OpenTo(check, f, HeaderSize+size, key); err != nil || check.bad || check.n != size {
		t.Errorf("%d bytes came out, others %t, %v", check.n, check.bad, err)
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 3<<20 {
		t.Errorf("%d bytes of memory were used", used)
	}
	if _, err := f.WriteAt([]byte{1}, HeaderSize+size-1); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := OpenTo(&out, f, HeaderSize+size, key); !errors.Is(err, errOther) || out.Len() != 0 {
		t.Errorf("%d bytes came out of a changed image, %v", out.Len(), err)
	}
}

// pattern is a reader without an end.
type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(i)
	}
	return len(p), nil
}

type patternCheck struct {
	n   int64
	bad bool
}

func (c *patternCheck) Write(p []byte) (int, error) {
	for i, x := range p {
		c.bad = c.bad || x != byte(i)
	}
	c.n += int64(len(p))
	return len(p), nil
}

// Who reads or writes badly is told of it.
func TestStreamFaults(t *testing.T) {
	key := vectorKey(t, "ecies").(*ecdsa.PrivateKey)
	broken := errors.New("broken")
	if err := SealTo(buffer(make([]byte, 9999)), iotest.ErrReader(broken), 100, &key.PublicKey); !errors.Is(err, broken) {
		t.Errorf("got %v", err)
	}
	if err := SealTo(buffer(make([]byte, 9999)), strings.NewReader("short"), 100, &key.PublicKey); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %v", err)
	}
	if err := SealTo(buffer(nil), strings.NewReader(""), 1<<32, &key.PublicKey); err == nil || !strings.Contains(err.Error(), "more than the header can say") {
		t.Errorf("got %v", err)
	}
	if err := SealTo(buffer(nil), strings.NewReader(""), 1, "no key"); err == nil {
		t.Error("a text was taken for a key")
	}
}
