package flow

import (
	"bytes"
	"crypto/md5"
	"crypto/sha256"
	"math/rand/v2"
	"testing"

	"station/internal/firmware"
	"station/internal/flashcrypt"
	"station/internal/secret"
)

// However a region is read, its sums are those of what the flash must hold.
func TestSumsTakenInPassing(t *testing.T) {
	key, err := secret.New(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	cipher, err := flashcrypt.New(key, 15)
	if err != nil {
		t.Fatal(err)
	}
	defer cipher.Destroy()
	data := bytes.Repeat([]byte("sixteen bytes..."), 3000)
	stored := bytes.Clone(data)
	if err := cipher.Encrypt(stored, stored, 0x10000); err != nil {
		t.Fatal(err)
	}
	rnd := rand.New(rand.NewPCG(3, 4))
	for name, read := range map[string]func(c *content){
		"not at all": func(*content) {},
		"in order": func(c *content) {
			for at := 0; at < len(data); at += 4096 {
				c.ReadAt(make([]byte, min(4096, len(data)-at)), int64(at))
			}
		},
		"at random": func(c *content) {
			for range 100 {
				at := rnd.IntN(len(data))
				c.ReadAt(make([]byte, rnd.IntN(len(data)-at)), int64(at))
			}
		},
		"the end first": func(c *content) {
			c.ReadAt(make([]byte, 100), int64(len(data)-100))
			c.ReadAt(make([]byte, len(data)-50), 0)
		},
	} {
		for _, encrypted := range []bool{true, false} {
			want := data
			if encrypted {
				want = stored
			}
			c, err := newContent(cipher, firmware.Region{Address: 0x10000, Size: len(data), Data: data, Encrypted: encrypted})
			if err != nil {
				t.Fatal(err)
			}
			read(c)
			for range 2 {
				sum, sha, err := c.sums()
				if err != nil || sum != md5.Sum(want) || sha != sha256.Sum256(want) {
					t.Errorf("%s, encrypted %t: got %x %x, %v", name, encrypted, sum, sha, err)
				}
			}
		}
	}
}
