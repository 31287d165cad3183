package hsm_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"testing"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"

	"github.com/miekg/pkcs11"
)

func TestSigner(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Signer, hsm.Master)
	token := hsmtest.Open(t, cfg)
	key, err := token.Signer(t.Context(), "station-signer")
	if err != nil {
		t.Fatal(err)
	}
	pub := key.Public().(*ecdsa.PublicKey)
	for i := range 20 { // r and s with leading zeros come along
		digest := sha256.Sum256([]byte{byte(i)})
		sig, err := key.Sign(rand.Reader, digest[:], crypto.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		if !ecdsa.VerifyASN1(pub, digest[:], sig) {
			t.Errorf("signature %d does not verify: %x", i, sig)
		}
		digest[0] ^= 1
		if ecdsa.VerifyASN1(pub, digest[:], sig) {
			t.Error("another digest verifies")
		}
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(der)
	shown, err := token.Show(t.Context(), "station-signer")
	if err != nil || shown.Check != hex.EncodeToString(sum[:8]) || !shown.Public.(*ecdsa.PublicKey).Equal(pub) {
		t.Errorf("got %+v, %v, want check %x", shown, err, sum[:8])
	}
	for _, c := range []struct {
		digest []byte
		opts   crypto.SignerOpts
	}{{make([]byte, 20), nil}, {make([]byte, 32), crypto.SHA384}, {make([]byte, 48), crypto.SHA384}} {
		if _, err := key.Sign(nil, c.digest, c.opts); err == nil {
			t.Errorf("%d bytes as %v were signed", len(c.digest), c.opts)
		}
	}
	_, err = token.Signer(t.Context(), "other")
	wantError(t, err, hsm.ErrNoKey)
	_, err = token.Signer(t.Context(), "station-master")
	wantError(t, err, hsm.ErrNoKey)
}

func TestSignerWithoutItsPublicHalf(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Signer)
	hsmtest.Session(t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		if err := c.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_PUBLIC_KEY)}); err != nil {
			t.Fatal(err)
		}
		found, _, err := c.FindObjects(s, 2)
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		_ = c.FindObjectsFinal(s)
		if err := c.DestroyObject(s, found[0]); err != nil {
			t.Fatal(err)
		}
	})
	token := hsmtest.Open(t, cfg)
	_, err := token.Signer(t.Context(), "station-signer")
	wantError(t, err, hsm.ErrNoKey, "its public half")
	k, err := token.Show(t.Context(), "station-signer")
	if err != nil || len(k.Problems) != 1 {
		t.Errorf("got %+v, %v", k, err)
	}
}

func TestEscrow(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t, hsm.Master, hsm.KEK))
	offline, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	k := deviceKey(t, token, derived(32))
	blob, err := hsm.Escrow(&offline.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	back, err := hsm.OpenEscrow(offline, k.ID, blob)
	if err != nil || !bytes.Equal(back.Reveal(), k.Secret.Reveal()) {
		t.Fatalf("got %v, %v", back, err)
	}
	back.Destroy()
	// With any other tool that does RSA-OAEP.
	plain, err := rsa.DecryptOAEP(sha256.New(), nil, offline, blob, []byte("station escrow v1\x00"+k.ID))
	if err != nil || !bytes.Equal(plain, k.Secret.Reveal()) {
		t.Errorf("plain RSA-OAEP gives %v", err)
	}
	other := deviceKey(t, token, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Random, Label: "station-kek"})
	_, err = hsm.OpenEscrow(offline, other.ID, blob)
	wantError(t, err, hsm.ErrWrapped)
	wrong := k
	wrong.Secret = other.Secret // a blob that claims to be another key
	blob, err = hsm.Escrow(&offline.PublicKey, wrong)
	if err != nil {
		t.Fatal(err)
	}
	_, err = hsm.OpenEscrow(offline, k.ID, blob)
	wantError(t, err, hsm.ErrWrapped, "its check value is "+other.Check)
	weak, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := hsm.Escrow(&weak.PublicKey, k); err == nil {
		t.Error("escrow to an RSA key of 2048 bits was made")
	}
}
