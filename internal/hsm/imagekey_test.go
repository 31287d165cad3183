package hsm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/secureboot"

	"github.com/miekg/pkcs11"
)

// pair makes a key pair as a firm's own tools do: the token chooses what is
// not said.
func pair(t *testing.T, cfg hsm.Config, label string, mechanism uint, public ...*pkcs11.Attribute) {
	t.Helper()
	hsmtest.Session(t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		named := []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
			pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
			pkcs11.NewAttribute(pkcs11.CKA_ID, []byte(label)),
		}
		private := append([]*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_SIGN, label != "mute")}, named...)
		_, _, err := c.GenerateKeyPair(s, []*pkcs11.Mechanism{pkcs11.NewMechanism(mechanism, nil)}, append(public, named...), private)
		if err != nil {
			t.Fatal(err)
		}
	})
}

func rsaPair(t *testing.T, cfg hsm.Config, label string, bits int) {
	t.Helper()
	pair(t, cfg, label, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN,
		pkcs11.NewAttribute(pkcs11.CKA_MODULUS_BITS, bits), pkcs11.NewAttribute(pkcs11.CKA_PUBLIC_EXPONENT, []byte{1, 0, 1}))
}

func curve(oid ...byte) *pkcs11.Attribute { return pkcs11.NewAttribute(pkcs11.CKA_EC_PARAMS, oid) }

var (
	onP256 = curve(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07)
	onP192 = curve(0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x01)
)

func imageKey(t *testing.T, token *hsm.Token, label string) *hsm.ImageKey {
	t.Helper()
	k, err := token.ImageKey(t.Context(), label)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestImageKey(t *testing.T) {
	cfg := hsmtest.Token(t)
	rsaPair(t, cfg, "boot", 3072)
	pair(t, cfg, "app", pkcs11.CKM_EC_KEY_PAIR_GEN, onP256)
	token := hsmtest.Open(t, cfg)
	digest := sha256.Sum256([]byte("an image"))
	pss := &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA256}

	boot := imageKey(t, token, "boot")
	sig, err := boot.Sign(nil, digest[:], pss)
	if err != nil {
		t.Fatal(err)
	}
	pub := boot.Public().(*rsa.PublicKey)
	if pub.N.BitLen() != 3072 || pub.E != 65537 {
		t.Errorf("got a key of %d bits, e %d", pub.N.BitLen(), pub.E)
	}
	if err := rsa.VerifyPSS(pub, crypto.SHA256, digest[:], sig, pss); err != nil {
		t.Error(err)
	}
	again, err := boot.Sign(nil, digest[:], &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256})
	if err != nil || string(again) == string(sig) {
		t.Errorf("the same signature twice: the salt is not random (%v)", err)
	}

	app := imageKey(t, token, "app")
	sig, err = app.Sign(nil, digest[:], crypto.SHA256)
	if err != nil || !ecdsa.VerifyASN1(app.Public().(*ecdsa.PublicKey), digest[:], sig) {
		t.Errorf("%x does not verify (%v)", sig, err)
	}

	for _, v := range []struct {
		name   string
		key    *hsm.ImageKey
		digest []byte
		opts   crypto.SignerOpts
	}{
		{"RSA with PKCS #1 v1.5", boot, digest[:], crypto.SHA256},
		{"another salt", boot, digest[:], &rsa.PSSOptions{SaltLength: 20, Hash: crypto.SHA256}},
		{"another hash", boot, digest[:], &rsa.PSSOptions{SaltLength: 32, Hash: crypto.SHA384}},
		{"EC, another hash", app, digest[:], crypto.SHA384},
		{"no hash", app, digest[:], nil},
		{"a short digest", app, digest[:20], crypto.SHA256},
	} {
		if _, err := v.key.Sign(nil, v.digest, v.opts); err == nil {
			t.Errorf("%s: it was signed", v.name)
		}
	}
}

func TestImageKeyThatIsNone(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master, hsm.Signer)
	rsaPair(t, cfg, "twice", 1024)
	rsaPair(t, cfg, "twice", 1024)
	rsaPair(t, cfg, "mute", 1024)
	pair(t, cfg, "small", pkcs11.CKM_EC_KEY_PAIR_GEN, onP192)
	token := hsmtest.Open(t, cfg)
	for label, v := range map[string]struct {
		is   error
		says string
	}{
		"nobody":         {hsm.ErrNoKey, "nobody"},
		"station-master": {hsm.ErrNoKey, "station-master"}, // no private key
		"station-signer": {hsm.ErrAttributes, "our signer, which signs no images"},
		"twice":          {hsm.ErrAmbiguous, "2 of that label"},
		"mute":           {hsm.ErrAttributes, "may not sign"},
		"small":          {hsm.ErrAttributes, "the key is on P-192, which is too weak to begin with; make one on P-256"},
	} {
		_, err := token.ImageKey(t.Context(), label)
		wantError(t, err, v.is, v.says)
	}
}

// A key on P-384 is made for images alone, and signs digests of SHA-384, as the library
// of another maker verifies.
func TestImageKeyOnP384(t *testing.T) {
	token := hsmtest.Open(t, hsmtest.Token(t))
	made, err := token.InitType(t.Context(), hsm.SecureBoot, "long", hsm.P384)
	if err != nil {
		t.Fatal(err)
	}
	key := imageKey(t, token, "long")
	pub := key.Public().(*ecdsa.PublicKey)
	if made.Bits != 384 || pub.Curve != elliptic.P384() || len(made.Problems) > 0 {
		t.Errorf("made %+v", made)
	}
	digest := sha512.Sum384([]byte("an image"))
	sig, err := key.Sign(nil, digest[:], crypto.SHA384)
	if err != nil {
		t.Fatal(err)
	}
	opensslVerifies(t, pub, []byte("an image"), sig)
	app, err := os.ReadFile("../../fixtures/chips/esp32c5/app.bin")
	if err != nil {
		t.Fatal(err)
	}
	signed, err := secureboot.SignFor(chip.ESP32C5, app, key)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := secureboot.VerifyFor(chip.ESP32C5, signed, pub); err != nil || s.Key != chip.P384 {
		t.Errorf("the image: %+v, %v", s, err)
	}
	short := sha256.Sum256(nil)
	if _, err := key.Sign(nil, short[:], crypto.SHA256); err == nil {
		t.Error("it signs SHA-256")
	}
	if _, err := token.InitType(t.Context(), hsm.Signer, "signer", hsm.P384); err == nil {
		t.Error("a signer of the ledger is on P-384")
	}
	_, err = token.Adopt(t.Context(), "long", hsm.Signer)
	wantError(t, err, hsm.ErrAttributes, "its type is EC private key on P-384, want EC private key on P-256")
}

// opensslVerifies has openssl verify a signature with SHA-384.
func opensslVerifies(t *testing.T, pub *ecdsa.PublicKey, message, sig []byte) {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, data := range map[string][]byte{"key": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), "sig": sig, "message": message} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "openssl", "dgst", "-sha384", "-verify", "key", "-signature", "sig", "message")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("openssl: %v: %s", err, out)
	}
}

// A key that was exchanged under its label is noticed.
func TestImageKeyExchanged(t *testing.T) {
	cfg := hsmtest.Token(t)
	pair(t, cfg, "app", pkcs11.CKM_EC_KEY_PAIR_GEN, onP256)
	token := hsmtest.Open(t, cfg)
	key := imageKey(t, token, "app")
	hsmtest.Session(t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		if err := c.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, "app")}); err != nil {
			t.Fatal(err)
		}
		found, _, err := c.FindObjects(s, 4)
		_ = c.FindObjectsFinal(s)
		if err != nil || len(found) != 2 {
			t.Fatal(found, err)
		}
		for _, h := range found {
			if err := c.DestroyObject(s, h); err != nil {
				t.Fatal(err)
			}
		}
	})
	digest := sha256.Sum256(nil)
	_, err := key.Sign(nil, digest[:], crypto.SHA256)
	wantError(t, err, hsm.ErrNoKey)
	pair(t, cfg, "app", pkcs11.CKM_EC_KEY_PAIR_GEN, onP256)
	if _, err := key.Sign(nil, digest[:], crypto.SHA256); err == nil {
		t.Error("another key signed")
	}
}
