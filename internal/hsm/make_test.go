package hsm_test

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/secureboot"

	"github.com/miekg/pkcs11"
)

func TestInitMakesExactlyTheseAttributes(t *testing.T) {
	cfg := hsmtest.Token(t)
	token := hsmtest.Open(t, cfg)
	for _, c := range []struct {
		role       hsm.Role
		kind       string
		attributes string
	}{
		{hsm.Master, "generic secret key", "ALWAYS_SENSITIVE LOCAL NEVER_EXTRACTABLE PRIVATE SENSITIVE SIGN TOKEN"},
		{hsm.KEK, "AES secret key", "ALWAYS_SENSITIVE LOCAL NEVER_EXTRACTABLE PRIVATE SENSITIVE TOKEN UNWRAP WRAP"},
		{hsm.Signer, "EC private key", "ALWAYS_SENSITIVE LOCAL NEVER_EXTRACTABLE PRIVATE SENSITIVE SIGN SIGN_RECOVER TOKEN"}, // SoftHSM sets what it is not told
		{hsm.CA, "EC private key", "ALWAYS_SENSITIVE LOCAL NEVER_EXTRACTABLE PRIVATE SENSITIVE SIGN SIGN_RECOVER TOKEN"},
		{hsm.SharedKey, "generic secret key", "ALWAYS_SENSITIVE EXTRACTABLE LOCAL PRIVATE SENSITIVE SIGN TOKEN"},
	} {
		label := "batch 7 " + string(c.role)
		init := func() (hsm.Key, error) {
			if c.role == hsm.SharedKey {
				return token.NewShared(t.Context(), label, 32)
			}
			return token.Init(t.Context(), c.role, label)
		}
		made, err := init()
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(made.Attributes, " "); got != c.attributes {
			t.Errorf("%s: got %s\nwant %s", c.role, got, c.attributes)
		}
		if made.Role != c.role || made.Type != c.kind || made.Bits != 256 || made.Label != label ||
			made.ID != "station:"+string(c.role)+":"+label || made.Check == "" || len(made.Problems) != 0 {
			t.Errorf("%s: got %+v", c.role, made)
		}
		shown, err := token.Show(t.Context(), label)
		if err != nil || shown.Check != made.Check || !slices.Equal(shown.Attributes, made.Attributes) {
			t.Errorf("%s: show gives %+v, %v", c.role, shown, err)
		}
		_, err = init()
		wantError(t, err, hsm.ErrExists, label)
	}
	for _, label := range []string{"", " x", "a\nb", strings.Repeat("x", 65)} {
		if _, err := token.Init(t.Context(), hsm.Master, label); err == nil || !strings.Contains(err.Error(), "label") {
			t.Errorf("label %q: got %v", label, err)
		}
	}
	for _, role := range []hsm.Role{"", "other", hsm.SharedKey} {
		if _, err := token.Init(t.Context(), role, "x"); err == nil || !strings.Contains(err.Error(), "no such role") {
			t.Errorf("role %q: got %v", role, err)
		}
	}
	// A key pair is two objects, and SoftHSM keeps a token's objects in files.
	// The eighth is this run's wrapping key, in the session.
	if n := objects(t, cfg); n != 8 {
		t.Errorf("%d objects are in the token, want 8", n)
	}
}

// Keys for secure boot are of the type that their version takes, sign images
// and nothing else, and no other key of ours signs one.
func TestSecureBootKeys(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Signer)
	token := hsmtest.Open(t, cfg)
	for is, want := range map[hsm.KeyType]string{hsm.RSA3072: "RSA private key of 3072 bits", hsm.P256: "EC private key of 256 bits"} {
		label := "boot " + string(is)
		made, err := token.InitType(t.Context(), hsm.SecureBoot, label, is)
		if err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprintf("%s of %d bits", made.Type, made.Bits); got != want || made.Role != hsm.SecureBoot || made.Check == "" || len(made.Problems) > 0 {
			t.Errorf("%s: got %s, %+v", is, got, made)
		}
		if got := strings.Join(made.Attributes, " "); !strings.HasPrefix(got, "ALWAYS_SENSITIVE LOCAL NEVER_EXTRACTABLE PRIVATE SENSITIVE SIGN") || strings.Contains(got, "UNWRAP") {
			t.Errorf("%s: got %s", is, got)
		}
		key, err := token.ImageKey(t.Context(), label)
		if err != nil {
			t.Fatal(err)
		}
		image, err := os.ReadFile("../../fixtures/secureboot/app.bin")
		if err != nil {
			t.Fatal(err)
		}
		file, err := secureboot.Sign(image, key)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := secureboot.Verify(file, key.Public()); err != nil {
			t.Error(err)
		}
		_, err = token.Signer(t.Context(), label)
		wantError(t, err, hsm.ErrAttributes, label)
		noted := hsm.Want{Role: hsm.SecureBoot, Label: label}
		if s, err := token.Status(t.Context(), noted); err != nil || len(s.Missing) > 0 {
			t.Errorf("%s: missing %v, %v", is, s.Missing, err)
		}
	}
	for _, is := range []hsm.KeyType{"", "rsa-4096"} {
		if _, err := token.InitType(t.Context(), hsm.SecureBoot, "x", is); err == nil || !strings.Contains(err.Error(), "no such role") {
			t.Errorf("%q: got %v", is, err)
		}
	}
	rsaPair(t, cfg, "open", 3072)
	_, err := token.Adopt(t.Context(), "open", hsm.SecureBoot)
	wantError(t, err, hsm.ErrAttributes, "as secure-boot", "DECRYPT is true: it is open for more than its work")
	if _, err := token.CA(t.Context(), hsm.Signer.Label()); err == nil {
		t.Error("the ledger's key signs certificates")
	}
}

// Keys that others made: each fault of the attributes is named, and the key
// is not used.
func TestTooOpenKeysAreRefused(t *testing.T) {
	cfg := hsmtest.Token(t)
	change := func(label string, attr uint, value bool) []*pkcs11.Attribute {
		list := append(hsmtest.MasterTemplate(label), pkcs11.NewAttribute(pkcs11.CKA_VALUE, hsmtest.Master))
		for i, a := range list {
			if a.Type == attr {
				list[i] = pkcs11.NewAttribute(attr, value)
			}
		}
		return list
	}
	cases := []struct {
		label string
		attr  uint
		value bool
		words string
	}{
		{"readable", pkcs11.CKA_SENSITIVE, false, "SENSITIVE is false: it can be read in the clear"},
		{"extractable", pkcs11.CKA_EXTRACTABLE, true, "EXTRACTABLE is true: it can leave the token"},
		{"public", pkcs11.CKA_PRIVATE, false, "PRIVATE is false: it can be used without the PIN"},
		{"no use", pkcs11.CKA_SIGN, false, "SIGN is false: it cannot do its work"},
		{"derives", pkcs11.CKA_DERIVE, true, "DERIVE is true: it is open for more than its work"},
		{"wraps", pkcs11.CKA_WRAP, true, "WRAP is true"},
		{"decrypts", pkcs11.CKA_DECRYPT, true, "DECRYPT is true"},
	}
	for _, c := range cases {
		hsmtest.Create(t, cfg, change(c.label, c.attr, c.value)...)
	}
	short := append(hsmtest.MasterTemplate("short"), pkcs11.NewAttribute(pkcs11.CKA_VALUE, hsmtest.Master[:16]))
	hsmtest.Create(t, cfg, short...)
	hsmtest.Known(t, cfg, "imported", hsmtest.Master)
	use := func(cfg hsm.Config, label string) error {
		token, err := hsm.Open(cfg)
		if err != nil {
			t.Fatal(err)
		}
		defer token.Close()
		k, err := token.DeviceKey(t.Context(), hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Derived, Label: label})
		k.Secret.Destroy()
		return err
	}
	wantError(t, use(cfg, "imported"), hsm.ErrAttributes, "LOCAL is false: it was not made in this token",
		"ALWAYS_SENSITIVE is false", "NEVER_EXTRACTABLE is false")
	for _, c := range cases {
		cfg = hsmtest.Vouch(cfg, hsm.Noted{Role: hsm.Master, Label: c.label, Check: hsmtest.Check(hsmtest.Master)})
	}
	wantError(t, use(cfg, "imported"), hsm.ErrAttributes, "station key adopt imported")
	wrong := hsmtest.Vouch(cfg, hsm.Noted{Role: hsm.Master, Label: "imported", Check: hsmtest.Check([]byte("another"))})
	wantError(t, use(wrong, "imported"), hsm.ErrAttributes, "no record of this site speaks for this key (check value "+hsmtest.Check(hsmtest.Master)+")")
	cfg = hsmtest.Vouch(cfg, hsm.Noted{Role: hsm.Master, Label: "imported", Check: hsmtest.Check(hsmtest.Master)})
	if err := use(cfg, "imported"); err != nil {
		t.Errorf("imported and allowed: got %v", err)
	}
	for _, c := range cases {
		wantError(t, use(cfg, c.label), hsm.ErrAttributes, `key "`+c.label+`"`, c.words)
	}
	wantError(t, use(cfg, "short"), hsm.ErrAttributes, "it has 128 bits, not 256")
}

// A token that does not do as it is told: the key is taken away again.
func TestATokenThatMakesKeysTooOpen(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
	token := hsmtest.Open(t, cfg)
	faults.Set("ATTRIBUTE 0x162 -1 0") // CKA_EXTRACTABLE
	for _, role := range []hsm.Role{hsm.Master, hsm.KEK, hsm.Signer} {
		_, err := token.Init(t.Context(), role, role.Label())
		wantError(t, err, hsm.ErrAttributes, "this token made it so", "EXTRACTABLE is true")
	}
	faults.Set("WITHOUT 0x162 -1 0")
	_, err := token.NewShared(t.Context(), "fleet", 32)
	wantError(t, err, hsm.ErrAttributes, "EXTRACTABLE is false: it cannot leave the token for a device")
	faults.Set()
	if n := objects(t, cfg); n != 1 { // this run's wrapping key, in the session
		t.Errorf("%d objects are left in the token", n)
	}
}

func TestStatus(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master, hsm.KEK, hsm.Signer, hsm.SharedKey)
	hsmtest.Known(t, cfg, "twice", hsmtest.Master)
	hsmtest.Known(t, cfg, "twice", hsmtest.Master)
	hsmtest.Create(t, cfg, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, "notes"), pkcs11.NewAttribute(pkcs11.CKA_VALUE, "x"))
	hsmtest.Create(t, cfg, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY), pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_AES),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true), pkcs11.NewAttribute(pkcs11.CKA_LABEL, "vpn"), pkcs11.NewAttribute(pkcs11.CKA_ID, "\x01\x02"),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE, make([]byte, 16)))
	token := hsmtest.Open(t, cfg)
	s, err := token.Status(t.Context(), hsm.Want{Role: hsm.Master, Label: "station-master"}, hsm.Want{Role: hsm.Master, Label: "2027"})
	if err != nil {
		t.Fatal(err)
	}
	var ours, others []string
	for _, k := range s.Keys {
		ours = append(ours, string(k.Role)+" "+k.Label)
	}
	for _, k := range s.Others {
		others = append(others, k.Type+" "+k.Label+" "+k.ID)
	}
	if got := strings.Join(ours, ", "); got != "kek station-kek, master station-master, master twice, master twice, shared station-shared, signer station-signer" {
		t.Errorf("ours: %s", got)
	}
	if got := strings.Join(others, ", "); got != "data notes , AES secret key vpn 0102" {
		t.Errorf("others: %s", got)
	}
	if s.Label != hsm.ThrowawayLabel || !s.Throwaway || s.Serial == "" || s.Firmware != "2.6" || s.Model != "SoftHSM v2" || !strings.Contains(s.Library, "SoftHSM") {
		t.Errorf("got %+v", s.Info)
	}
	problems := strings.Join(s.Problems(), "\n")
	for _, want := range []string{`master: key "2027": no such key`, `key "twice": 2 keys have this label: none of them is used`, `key "twice": LOCAL is false`} {
		if !strings.Contains(problems, want) {
			t.Errorf("got\n%s\nwant %q", problems, want)
		}
	}
	if strings.Contains(problems, "station-") || strings.Contains(problems, "CKM_") {
		t.Errorf("good keys and mechanisms are blamed:\n%s", problems)
	}
	keys, err := token.Keys(t.Context())
	if err != nil || len(keys) != len(s.Keys) {
		t.Errorf("Keys gives %d, %v, Status %d", len(keys), err, len(s.Keys))
	}
	for label, want := range map[string]error{"2027": hsm.ErrNoKey, "twice": hsm.ErrAmbiguous, "notes": hsm.ErrNoKey} {
		_, err := token.Show(t.Context(), label)
		wantError(t, err, want, label)
	}
	if k, err := token.Show(t.Context(), "vpn"); err != nil || k.Role != "" || k.Bits != 128 {
		t.Errorf("vpn: got %+v, %v", k, err)
	}
}

func TestStatusTellsOfWrongPINs(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	token := hsmtest.Open(t, cfg)
	faults.Set("FLAGS 0x10000 -1 0") // CKF_USER_PIN_COUNT_LOW
	s, err := token.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Problems(); s.Label != hsm.ThrowawayLabel || !slices.Contains(got, "a wrong PIN was given since the last right one") {
		t.Errorf("got %+v, %q", s, got)
	}
	cfg.URI.Token = "other"
	_, err = hsm.Open(cfg)
	wantError(t, err, hsm.ErrNoToken, `the module has "station throwaway"`)
}

func TestCancelledBeforeMaking(t *testing.T) {
	cfg := hsmtest.Token(t)
	token := hsmtest.Open(t, cfg)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := token.Init(ctx, hsm.Master, "x")
	wantError(t, err, context.Canceled)
	if n := objects(t, cfg); n != 0 {
		t.Errorf("%d objects are in the token", n)
	}
}
