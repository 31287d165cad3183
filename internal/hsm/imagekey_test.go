package hsm_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"testing"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"

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
	onP384 = curve(0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22)
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
	pair(t, cfg, "large", pkcs11.CKM_EC_KEY_PAIR_GEN, onP384)
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
		"large":          {hsm.ErrAttributes, "not on P-256"},
	} {
		_, err := token.ImageKey(t.Context(), label)
		wantError(t, err, v.is, v.says)
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
