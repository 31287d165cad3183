package flashcrypt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"station/internal/secret"
)

// Every case is what Espressif's tool encrypted.
func TestKnownXTS(t *testing.T) {
	var cases []struct {
		Key, PlainSeed, Cipher, CipherSha256 string
		Address                              uint32
		PlainLen                             int
		OK                                   bool
	}
	raw, err := os.ReadFile("../../fixtures/xts.json")
	if err == nil {
		err = json.Unmarshal(raw, &cases)
	}
	if err != nil || len(cases) != 25 {
		t.Fatalf("%d cases, %v", len(cases), err)
	}
	for _, tc := range cases {
		if !tc.OK {
			t.Errorf("%#x: a case that the tool refused", tc.Address)
			continue
		}
		c := newXTS(t, fromHex(t, tc.Key))
		plain := seeded(tc.PlainSeed, tc.PlainLen)
		got := make([]byte, len(plain))
		if err := c.Encrypt(got, plain, tc.Address); err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256(got)
		if want := fromHex(t, tc.Cipher); !bytes.HasPrefix(got, want[:min(len(want), len(got))]) || hex.EncodeToString(sum[:]) != tc.CipherSha256 {
			t.Errorf("%d bytes of key, %d bytes at %#x: got %x", len(tc.Key)/2, len(plain), tc.Address, got[:16])
		}
		if err := c.Decrypt(got, got, tc.Address); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%#x: it does not come back, %v", tc.Address, err)
		}
	}
}

// What is encrypted in pieces is what is encrypted whole.
func TestXTSInPieces(t *testing.T) {
	plain := seeded("pieces", 1024)
	for _, size := range []int{32, 64} {
		c := newXTS(t, seeded("key", size))
		whole, pieces := make([]byte, len(plain)), bytes.Clone(plain)
		if err := c.Encrypt(whole, plain, 0x3ff_0030); err != nil {
			t.Fatal(err)
		}
		for at := 0; at < len(plain); at += 48 {
			p := pieces[at:min(at+48, len(plain))]
			if err := c.Encrypt(p, p, 0x3ff_0030+uint32(at)); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(whole, pieces) {
			t.Errorf("%d bytes of key: they differ", size)
		}
	}
}

// A key of 128 bits stands for its SHA-256.
func TestShortKeyOfXTS(t *testing.T) {
	short := fromHex(t, "a48a5ae368cd50f625d089bdf958d4b2")
	long := sha256.Sum256(short)
	plain := seeded("short", 128)
	var got [2][]byte
	for i, key := range [][]byte{short, long[:]} {
		got[i] = make([]byte, len(plain))
		if err := newXTS(t, bytes.Clone(key)).Encrypt(got[i], plain, 0x10000); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got[0], got[1]) || bytes.Equal(got[0], plain) {
		t.Errorf("%x\n%x", got[0][:16], got[1][:16])
	}
}

func TestXTSRefuses(t *testing.T) {
	for _, n := range []int{0, 8, 24, 48} {
		k, err := secret.New(make([]byte, n))
		if err == nil {
			_, err = NewXTS(k)
		}
		if err == nil {
			t.Errorf("a key of %d bytes was taken", n)
		}
	}
	c := newXTS(t, seeded("key", 32))
	b := make([]byte, 32)
	for _, bad := range []error{c.Encrypt(b, b, 8), c.Encrypt(b, b[:8], 0), c.Encrypt(b, b, 0xffff_fff0), c.Encrypt(b[:16], b, 0)} {
		if bad == nil {
			t.Error("a wrong range was taken")
		}
	}
	c.Destroy()
	if err := c.Encrypt(b, b, 0); !errors.Is(err, ErrDestroyed) {
		t.Errorf("got %v", err)
	}
}

func newXTS(t *testing.T, key []byte) *Cipher {
	t.Helper()
	k, err := secret.New(bytes.Clone(key))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Destroy()
	c, err := NewXTS(k)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Destroy)
	return c
}

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// seeded is SHA-256(seed | counter) over and over.
func seeded(seed string, n int) (b []byte) {
	for i := uint32(0); len(b) < n; i++ {
		sum := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(seed), i))
		b = append(b, sum[:]...)
	}
	return b[:n]
}
