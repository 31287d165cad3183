package otaimage

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"sync"
	"testing"

	"station/internal/secret"
)

var makeKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) })

func fleetKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := makeKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealed(t testing.TB, image []byte) []byte {
	t.Helper()
	file, err := Seal(image, &fleetKey(t).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func count(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestKnownAnswer(t *testing.T) {
	key, err := secret.New(count(32))
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	const plain = "ESP32 factory image test vector!xxxxx"
	h := &Header{IV: [16]byte(count(16)), Size: uint32(len(plain))}
	file := buffer(make([]byte, HeaderSize+len(plain)))
	if err := h.seal(file, strings.NewReader(plain), key); err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(file[512:]), "223ff0450bc42c49fe8bb45b2c8445de35d40e8113e8a037644828b6fa96beeb1007f18c05"; got != want {
		t.Errorf("cipher text\n got %s\nwant %s", got, want)
	}
	for _, v := range []struct {
		name     string
		from, to int
		want     string
	}{
		{"magic", 0, 4, "cfb68807"},
		{"IV", 388, 404, "000102030405060708090a0b0c0d0e0f"},
		{"length", 404, 408, "25000000"},
		{"tag", 408, 424, "8d6f159eafa703214188749581c5b05d"},
		{"rest", 424, 512, strings.Repeat("00", 88)},
	} {
		if got := hex.EncodeToString(file[v.from:v.to]); got != v.want {
			t.Errorf("%s: got %s, want %s", v.name, got, v.want)
		}
	}
}

func TestSealAndOpen(t *testing.T) {
	for _, n := range []int{1, 15, 16, 17, 4096, 100_001} {
		image := count(n)
		file := sealed(t, image)
		if len(file) != 512+n || !Is(file) {
			t.Errorf("%d bytes became %d", n, len(file))
		}
		got, err := Open(file, fleetKey(t))
		if err != nil || !bytes.Equal(got, image) {
			t.Errorf("%d bytes: other bytes came back (%v)", n, err)
		}
	}
	a, b := sealed(t, count(64)), sealed(t, count(64))
	for name, at := range map[string]int{"wrapped key": 4, "IV": 388, "tag": 408, "cipher text": 512} {
		if bytes.Equal(a[at:at+16], b[at:at+16]) {
			t.Errorf("%s is the same twice", name)
		}
	}
}

// TestKeyIsWrapped opens with nothing of ours but the layout.
func TestKeyIsWrapped(t *testing.T) {
	file := sealed(t, count(50))
	//lint:ignore SA1019 the format knows no other wrapping
	key, err := rsa.DecryptPKCS1v15(nil, fleetKey(t), file[4:388])
	if err != nil || len(key) != 32 {
		t.Fatalf("got a key of %d bytes, %v", len(key), err)
	}
	if bytes.Contains(file, key) {
		t.Error("the key is in the file")
	}
}

func TestFaults(t *testing.T) {
	whole := sealed(t, count(100))
	for _, v := range []struct {
		name   string
		change func([]byte) []byte
		want   []string
	}{
		{"empty", func([]byte) []byte { return nil }, []string{"does not begin with cf b6 88 07"}},
		{"magic", func(b []byte) []byte { b[0] ^= 1; return b }, []string{"does not begin with"}},
		{"header cut short", func(b []byte) []byte { return b[:511] }, []string{"cut short: 511 bytes"}},
		{"cut short", func(b []byte) []byte { return b[:600] }, []string{"the header says 100 bytes, 88 follow it"}},
		{"too long", func(b []byte) []byte { return append(b, 0) }, []string{"the header says 100 bytes, 101 follow it"}},
		{"huge", func(b []byte) []byte { binary.LittleEndian.PutUint32(b[404:], 0xffffffff); return b }, []string{"the header says 4294967295 bytes"}},
		{"zeros", func(b []byte) []byte { b[511] = 1; return b }, []string{"the header's last 88 bytes are not zero"}},
		{"two", func(b []byte) []byte { b[424] = 1; return b[:512] }, []string{"last 88 bytes", "100 bytes, 0 follow it"}},
		{"wrapped key", func(b []byte) []byte { b[100] ^= 1; return b }, []string{"made for another key, or it was changed"}},
		{"IV", func(b []byte) []byte { b[390] ^= 1; return b }, []string{"made for another key, or it was changed"}},
		{"tag", func(b []byte) []byte { b[410] ^= 1; return b }, []string{"made for another key, or it was changed"}},
		{"cipher text", func(b []byte) []byte { b[600] ^= 1; return b }, []string{"made for another key, or it was changed"}},
	} {
		image, err := Open(v.change(bytes.Clone(whole)), fleetKey(t))
		if err == nil || image != nil {
			t.Errorf("%s: it opened", v.name)
			continue
		}
		for _, want := range v.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", v.name, err, want)
			}
		}
	}
}

func TestUnfit(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Seal(count(1), &small.PublicKey); err == nil || !strings.Contains(err.Error(), "2048 bits") {
		t.Errorf("got %v", err)
	}
	if _, err := Open(sealed(t, count(1)), small); err == nil || !strings.Contains(err.Error(), "2048 bits") {
		t.Errorf("got %v", err)
	}
	if _, err := Seal(nil, &fleetKey(t).PublicKey); err == nil {
		t.Error("nothing was sealed")
	}
	another, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(sealed(t, count(1)), another); err == nil || !strings.Contains(err.Error(), "made for another key") {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: what is parsed is written again as it was.
func FuzzParse(f *testing.F) {
	f.Add(sealed(f, count(40)))
	f.Add((&Header{}).Append(nil))
	f.Add([]byte("\xcf\xb6\x88\x07"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body, err := Parse(b)
		if err != nil {
			if h != nil || body != nil {
				t.Error("a fault and a result")
			}
			return
		}
		if got := append(h.Append(nil), body...); !bytes.Equal(got, b) {
			t.Errorf("% x became % x", b, got)
		}
	})
}
