package release

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/flashcrypt"
	"station/internal/secret"
)

func read(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func signer(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var flashKey = bytes.Repeat([]byte{7, 9}, 16)

// encryptWith encrypts as the flash of an ESP32 with the key holds it.
func encryptWith(t testing.TB, key []byte) func(Target, []byte) ([]byte, error) {
	return func(at Target, plain []byte) ([]byte, error) {
		c := cipher(t, key, at.Config)
		defer c.Destroy()
		return plain, c.Encrypt(plain, plain, address(at.Address))
	}
}

func address(a uint32) uint32 {
	if a == AnyAddress {
		return 0
	}
	return a
}

func cipher(t testing.TB, key []byte, config byte) *flashcrypt.Cipher {
	k, err := secret.New(bytes.Clone(key))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Destroy()
	c, err := flashcrypt.New(k, config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// oldAndNew are the targets of a lot with a factory app and one slot, and of one with two.
var oldAndNew = []Target{{0x1d0000, CipherESP32, 0xf}, {0x10000, CipherESP32, 0xf}, {0x60000, CipherESP32, 0xf}, {0x10000, CipherESP32, 0xf}, {0x60000, CipherESP32, 0}, {0x10000, CipherESP32, 0}}

func made(t testing.TB, key *ecdsa.PrivateKey) ([]byte, *Bundle) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "b"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	of := BundleOf{App: read(t, "../../fixtures/small/app.bin"), Product: "lamp", Check: [8]byte{1, 2, 3}, Targets: oldAndNew, Encrypt: encryptWith(t, flashKey), Signer: key}
	b, err := of.Write(f)
	if err != nil {
		t.Fatal(err)
	}
	return read(t, f.Name()), b
}

// A bundle has one slot for each address, which decrypts to the app.
func TestBundle(t *testing.T) {
	key := signer(t)
	file, _ := made(t, key)
	b, err := ParseBundle(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(&key.PublicKey); err != nil {
		t.Error(err)
	}
	if err := b.CheckBody(bytes.NewReader(file), int64(len(file)), nil); err != nil {
		t.Error(err)
	}
	app := read(t, "../../fixtures/small/app.bin")
	if b.Plain != sha256.Sum256(app) || int(b.PlainSize) != len(app) || !bytes.Equal(b.Descriptor[:], app[32:288]) || b.Product != "lamp" || b.Check != [8]byte{1, 2, 3} {
		t.Errorf("got %+v", b)
	}
	var have []Target
	for _, s := range b.Slots {
		have = append(have, Target{s.Address, s.Cipher, s.Config})
		plain := bytes.Clone(file[s.Offset : s.Offset+s.Size])
		c := cipher(t, flashKey, s.Config)
		if err := c.Decrypt(plain, plain, address(s.Address)); err != nil {
			t.Fatal(err)
		}
		c.Destroy()
		if !bytes.Equal(plain[:len(app)], app) || len(bytes.Trim(plain[len(app):], "\xff")) != 0 {
			t.Errorf("%#x, config %#x: it opens to something else", s.Address, s.Config)
		}
	}
	want := []Target{{AnyAddress, CipherESP32, 0}, {0x10000, CipherESP32, 0xf}, {0x60000, CipherESP32, 0xf}, {0x1d0000, CipherESP32, 0xf}}
	if !slices.Equal(have, want) {
		t.Errorf("slots\n got %v\nwant %v", have, want)
	}
}

// Any changed bit of a bundle is noticed by the format, the signature or a digest.
func TestBundleChanged(t *testing.T) {
	key := signer(t)
	whole, b := made(t, key)
	notice := func(file []byte) error {
		b, err := ParseBundle(file)
		return errors.Join(err, func() error {
			if err != nil {
				return nil
			}
			return errors.Join(b.Verify(&key.PublicKey), b.CheckBody(bytes.NewReader(file), int64(len(file)), nil))
		}())
	}
	if err := notice(whole); err != nil {
		t.Fatal(err)
	}
	places := []int{len(whole) - 1, int(b.Slots[1].Offset), int(b.Slots[1].Offset) - 1, int(b.Slots[0].Offset + b.Slots[0].Size)}
	for i := 0; i < BundleHeaderSize; i += 7 {
		places = append(places, i)
	}
	for _, at := range places {
		file := bytes.Clone(whole)
		file[at] ^= 0x10
		if notice(file) == nil {
			t.Errorf("nobody notices a change at %d", at)
		}
	}
	for _, file := range [][]byte{whole[:len(whole)-1], append(bytes.Clone(whole), 0), whole[:BundleHeaderSize], whole[:100], nil} {
		if notice(file) == nil {
			t.Errorf("nobody notices %d bytes for %d", len(file), len(whole))
		}
	}
	if err := b.Verify(&signer(t).PublicKey); !errors.Is(err, ErrOtherSigner) {
		t.Errorf("another key: %v", err)
	}
}

// Every number of a header is believed only within its bounds; the faults come all at once.
func TestBundleFaults(t *testing.T) {
	whole, _ := made(t, signer(t))
	le := binary.LittleEndian
	for _, v := range []struct {
		name string
		do   func(h []byte)
		want []string
	}{
		{"letters", func(h []byte) { h[0] = 's' }, []string{"does not begin with SLOTBNDL"}},
		{"version", func(h []byte) { h[8] = 2 }, []string{"version 2; this program knows 1"}},
		{"header size", func(h []byte) { h[12] = 1 }, []string{"a header of 4097 bytes"}},
		{"no slots", func(h []byte) { le.PutUint16(h[10:], 0) }, []string{"0 slots, want 1 to 48"}},
		{"many slots", func(h []byte) { le.PutUint16(h[10:], 0xffff) }, []string{"65535 slots"}},
		{"no app", func(h []byte) { le.PutUint32(h[20:], 0) }, []string{"the plain app has 0 bytes", "it has 4704 bytes, the plain app 0"}},
		{"huge app", func(h []byte) { le.PutUint32(h[20:], 0xffffffff) }, []string{"the plain app has 4294967295 bytes"}},
		{"no product", func(h []byte) { clear(h[64:128]) }, []string{"the product's name"}},
		{"product", func(h []byte) { h[64] = 0xff }, []string{"the product's name"}},
		{"offset", func(h []byte) { le.PutUint32(h[512+4:], 100) }, []string{"slot 0: it begins at 100"}},
		{"into the header", func(h []byte) { le.PutUint32(h[512+4:], 0) }, []string{"slot 0: it begins at 0"}},
		{"overlap", func(h []byte) { le.PutUint32(h[512+64+4:], 4096) }, []string{"the bytes of two slots overlap at offset 4096"}},
		{"address", func(h []byte) { le.PutUint32(h[512+64:], 0x10010) }, []string{"slot 1: address 0x10010"}},
		{"cipher", func(h []byte) { h[512+64+12] = 4 }, []string{"slot 1: cipher 4 is not known"}},
		{"config", func(h []byte) { h[512+64+13] = 16 }, []string{"slot 1: config 0x10"}},
		{"any address", func(h []byte) { h[512+13] = 1 }, []string{"slot 0: address 0xffffffff does not go with"}},
		{"twice", func(h []byte) { copy(h[512+64:512+68], h[512+128:]) }, []string{"slot 2: it is there twice"}},
		{"order", func(h []byte) { le.PutUint32(h[512+64:], 0xf00000) }, []string{"not in the order"}},
		{"zeros", func(h []byte) { h[4031] = 1 }, []string{"where zeros must be"}},
	} {
		h := bytes.Clone(whole[:BundleHeaderSize])
		v.do(h)
		_, err := ParseBundle(h)
		for _, want := range v.want {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: got %v, want %q", v.name, err, want)
			}
		}
	}
}

// No bundle is made from an app, a product name or a target that does not suit it.
func TestBundleOfUnfit(t *testing.T) {
	app := read(t, "../../fixtures/small/app.bin")
	for _, v := range []struct {
		name string
		do   func(*BundleOf)
		want string
	}{
		{"path", func(m *BundleOf) { m.Product = "../lamp" }, "want letters, digits"},
		{"no targets", func(m *BundleOf) { m.Targets = nil }, "0 slots"},
		{"no app", func(m *BundleOf) { m.App = app[:100] }, "the app: "},
		{"not an app", func(m *BundleOf) { m.App = read(t, "../../fixtures/small/bootloader.bin") }, "no descriptor"},
		{"beyond the flash", func(m *BundleOf) {
			m.Targets = []Target{{0xfff000, CipherESP32, 0xf}}
		}, "beyond"},
		{"another cipher", func(m *BundleOf) { m.Targets = []Target{{0x10000, 9, 0}} }, "cipher 9"},
	} {
		m := BundleOf{App: app, Product: "lamp", Targets: oldAndNew, Signer: signer(t), Encrypt: func(at Target, plain []byte) ([]byte, error) {
			if at.Address == 0xfff000 {
				return nil, errors.New("beyond the flash")
			}
			return plain, nil
		}}
		v.do(&m)
		f, err := os.Create(filepath.Join(t.TempDir(), "b"))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if _, err := m.Write(f); err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s: got %v, want %q", v.name, err, v.want)
		}
	}
}

// FuzzParseBundle: what is parsed is written again as it was, and no number of
// it leads out of the file.
func FuzzParseBundle(f *testing.F) {
	whole, _ := made(f, signer(f))
	f.Add(whole[:BundleHeaderSize])
	f.Add([]byte(bundleMagic))
	f.Fuzz(func(t *testing.T, h []byte) {
		b, err := ParseBundle(h)
		if err != nil {
			if b != nil {
				t.Error("a fault and a result")
			}
			return
		}
		if !bytes.Equal(b.Header(), h[:BundleHeaderSize]) {
			t.Error("it became another one")
		}
		if err := b.CheckBody(bytes.NewReader(h), int64(len(h)), nil); err == nil && b.Size() != int64(len(h)) {
			t.Error("a body that is not there was found whole")
		}
	})
}
