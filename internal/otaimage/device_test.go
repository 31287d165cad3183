package otaimage

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"testing"

	"station/internal/keyfile"
	"station/internal/secret"
)

// Of the key in the fuses comes the private key whose public half the component's own
// tool made of it; an image for that opens.
func TestDeviceScalar(t *testing.T) {
	raw, err := os.ReadFile("../../fixtures/ota/hmac.key")
	if err != nil {
		t.Fatal(err)
	}
	public, err := keyfile.ReadPublic("../../fixtures/ota/hmac.public.pem")
	if err != nil {
		t.Fatal(err)
	}
	salt, _ := hex.DecodeString(deviceSalt)
	want, err := pbkdf2.Key(sha256.New, string(raw), salt, 2048, 32)
	if err != nil {
		t.Fatal(err)
	}
	key, err := secret.New(raw)
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	scalar, err := DeviceScalar(key)
	if err != nil {
		t.Fatal(err)
	}
	defer scalar.Destroy()
	if !bytes.Equal(scalar.Reveal(), want) {
		t.Errorf("got %x, the standard library's PBKDF2 gives %x", scalar.Reveal(), want)
	}
	private, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), bytes.Clone(scalar.Reveal()))
	if err != nil || !private.PublicKey.Equal(public) {
		t.Fatalf("it is the key of another one than the tool's: %v", err)
	}
	image := count(5000)
	file, err := Seal(image, public)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Open(file, private); err != nil || !bytes.Equal(got, image) {
		t.Errorf("other bytes came back (%v)", err)
	}
	if _, err := DeviceScalar(nil); err == nil {
		t.Error("a scalar of no key")
	}
}

// FuzzOpenECIES: whatever is in a file, it opens to nothing or to all that it says.
func FuzzOpenECIES(f *testing.F) {
	key := vectorKey(f, "ecies").(*ecdsa.PrivateKey)
	file, err := Seal(count(40), &key.PublicKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file)
	f.Add(file[:HeaderSize])
	f.Add(bytes.Replace(file, file[4:68], make([]byte, 64), 1)) // a point that is none
	f.Fuzz(func(t *testing.T, b []byte) {
		image, err := Open(b, key)
		if err != nil && image != nil || err == nil && len(image) != len(b)-HeaderSize {
			t.Errorf("%d bytes open to %d, %v", len(b), len(image), err)
		}
	})
}
