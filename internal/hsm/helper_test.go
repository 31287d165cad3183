package hsm_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/secret"
)

var mac = chip.MAC{0x24, 0x0a, 0xc4, 0x01, 0x02, 0x03}

// deviceKey wants a key and destroys it at the end.
func deviceKey(t testing.TB, token *hsm.Token, r hsm.Request) hsm.DeviceKey {
	t.Helper()
	k, err := token.DeviceKey(t.Context(), r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Secret.Destroy)
	return k
}

func derived(size int) hsm.Request { return request(mac, size) }

func request(m chip.MAC, size int) hsm.Request {
	return hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: m, Size: size, Policy: hsm.Derived, Label: hsm.Master.Label()}
}

func newSecret(t testing.TB, b []byte) *secret.Bytes {
	t.Helper()
	s, err := secret.New(append([]byte(nil), b...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Destroy)
	return s
}

func hmacSHA256(key, data []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(data)
	return h.Sum(nil)
}

// kcv is the check value by Go's HMAC.
func kcv(key []byte) string {
	return hex.EncodeToString(hmacSHA256(key, []byte("station key check v1"))[:8])
}

func fromHex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wantError wants both the sentinel and the words.
func wantError(t testing.TB, err, is error, words ...string) {
	t.Helper()
	if !errors.Is(err, is) {
		t.Errorf("got %v, want %v", err, is)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want it to say %q", err, w)
		}
	}
}

// objects counts what is in the token, session objects of this process included.
func objects(t testing.TB, cfg hsm.Config) int {
	t.Helper()
	n := 0
	hsmtest.Session(t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		if err := c.FindObjectsInit(s, nil); err != nil {
			t.Fatal(err)
		}
		found, _, err := c.FindObjects(s, 1000)
		if err := errors.Join(err, c.FindObjectsFinal(s)); err != nil {
			t.Fatal(err)
		}
		n = len(found)
	})
	return n
}
