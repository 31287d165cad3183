package hsm

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/hex"
	"errors"
	"testing"
)

func TestParsePublic(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	bare, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	wrapped, err := asn1.Marshal(bare)
	if err != nil {
		t.Fatal(err)
	}
	p256, p384 := onP256.params, onP384.params
	for name, point := range map[string][]byte{"in an OCTET STRING": wrapped, "bare": bare} {
		if got, err := parsePublic(p256, point); err != nil || !got.Equal(&key.PublicKey) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
	}
	off := bytes.Clone(bare)
	off[64] ^= 1
	for name, point := range map[string][]byte{"none": nil, "short": bare[:64], "not on the curve": off} {
		if got, err := parsePublic(p256, point); err == nil {
			t.Errorf("%s: got %v", name, got)
		}
	}
	if got, err := parsePublic(p384, bare); err == nil {
		t.Errorf("a point of P-256 on P-384: got %v", got)
	}
	for name, params := range map[string][]byte{"P-192": p192, "none": nil} {
		if _, err := parsePublic(params, bare); !errors.Is(err, ErrAttributes) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A bare point is 4 and 64 bytes; one whose second byte is 63 is also a correct
// OCTET STRING.
func TestBarePointThatLooksWrapped(t *testing.T) {
	for {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		bare, err := key.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if bare[1] != 63 {
			continue
		}
		if got, err := parsePublic(onP256.params, bare); err != nil || !got.Equal(&key.PublicKey) {
			t.Errorf("got %v, %v", got, err)
		}
		return
	}
}

// r with its highest bit set gets a zero before it, s with leading zeros loses them.
func TestSignatureASN1(t *testing.T) {
	raw := make([]byte, 64)
	raw[0], raw[31], raw[63] = 0x80, 1, 0x7f
	got, err := signatureASN1(raw, 32)
	want := "302602210080" + "000000000000000000000000000000000000000000000000000000000000" + "01" + "02017f"
	if err != nil || hex.EncodeToString(got) != want {
		t.Errorf("got  %x, %v\nwant %s", got, err, want)
	}
	for _, n := range []int{0, 63, 65, 96} {
		if _, err := signatureASN1(make([]byte, n), 32); err == nil {
			t.Errorf("a signature of %d bytes was taken", n)
		}
	}
}
