package secret

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"testing"
)

// It is the standard library's HMAC, for every length of key and message, again and again.
func TestHMAC(t *testing.T) {
	for n := 1; n <= 64; n++ {
		raw := bytes.Repeat([]byte{byte(n), 0xa5}, 32)[:n]
		key, err := New(bytes.Clone(raw))
		if err != nil {
			t.Fatal(err)
		}
		h, err := NewHMAC(key)
		if err != nil {
			t.Fatal(err)
		}
		for size := 0; size <= 64; size += 7 {
			message := bytes.Repeat([]byte{byte(size)}, size)
			want := hmac.New(sha256.New, raw)
			want.Write(message)
			if got := h.Sum(message); !bytes.Equal(got[:], want.Sum(nil)) {
				t.Errorf("a key of %d bytes, a message of %d: got %x", n, size, got)
			}
		}
		h.Destroy()
		if key.Len() != n {
			t.Error("the key is destroyed with it")
		}
		key.Destroy()
	}
	for _, n := range []int{0, 65} {
		key, err := New(make([]byte, n))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewHMAC(key); err == nil {
			t.Errorf("a key of %d bytes is taken", n)
		}
		key.Destroy()
	}
}
