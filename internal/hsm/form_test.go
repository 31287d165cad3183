package hsm_test

import (
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

// Tokens that refuse a type of key or an attribute, each seen at some maker:
// what can be made is made in the form that the token takes.
func TestKeysInTheFormThatATokenTakes(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults []string
		kinds  map[hsm.Role]string
	}{
		{"HMAC keys only", []string{"KIND 0x10 -1 19", "HMAC 0 -1 0"}, map[hsm.Role]string{hsm.Master: "HMAC-SHA-256 secret key"}},
		{"no length, no VERIFY", []string{"KIND 0x10 -1 19", "HMAC 0 -1 0", "REFUSE 0x10a -1 18"}, map[hsm.Role]string{hsm.Master: "HMAC-SHA-256 secret key", hsm.Signer: "EC private key"}},
		{"a mechanism of its own", []string{"KIND 0x10 -1 19", "HMAC 0 -1 0", "MAKES 0xde436997 -1 112"}, map[hsm.Role]string{hsm.Master: "HMAC-SHA-256 secret key"}},
		{"no VALUE_LEN", []string{"KIND 0x10 -1 19", "HMAC 0 -1 0", "LENGTH 32 -1 18"}, map[hsm.Role]string{hsm.Master: "HMAC-SHA-256 secret key"}},
		{"no VERIFY, WRAP, ENCRYPT, MODIFIABLE", []string{"REFUSE 0x10a -1 18", "REFUSE 0x106 -1 209", "REFUSE 0x104 -1 19", "REFUSE 0x170 -1 16"},
			map[hsm.Role]string{hsm.Signer: "EC private key"}},
		{"no SIGN_RECOVER", []string{"REFUSE 0x109 -1 18"}, map[hsm.Role]string{hsm.Signer: "EC private key"}},
		{"no AES key wrap", []string{"C_WrapKey 0x70 1 0"}, map[hsm.Role]string{hsm.KEK: "RSA private key"}},
	} {
		t.Run(c.name, func(t *testing.T) { madeInForm(t, c.faults, c.kinds) })
	}
}

func madeInForm(t *testing.T, lines []string, kinds map[hsm.Role]string) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
	token := hsmtest.Open(t, cfg)
	for role, kind := range kinds {
		faults.Set(lines...)
		k, err := token.Init(t.Context(), role, role.Label())
		if err != nil || k.Type != kind || len(k.Problems) > 0 {
			t.Errorf("%s: got %+v, %v, want a %s", role, k, err, kind)
			continue
		}
		switch role {
		case hsm.Master:
			deviceKey(t, token, derived(32))
		case hsm.KEK:
			r := hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 24, Policy: hsm.Random, Label: role.Label()}
			k := deviceKey(t, token, r)
			r.Wrapped = k.Wrapped
			if again := deviceKey(t, token, r); again.ID != k.ID || len(k.Wrapped) != 256 {
				t.Errorf("a blob of %d bytes gives %s, want %s", len(k.Wrapped), again.ID, k.ID)
			}
		}
	}
}

// What the token cannot do is said before anything is made.
func TestNothingIsMadeThatCannotWork(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
	token := hsmtest.Open(t, cfg)
	faults.Set("C_WrapKey 0x70 -1 0") // no key wrap of any kind
	_, err := token.Init(t.Context(), hsm.KEK, "kek")
	wantError(t, err, hsm.ErrCannot, "with AES secret key", "with RSA private key", "the token does not have this mechanism (CKR_MECHANISM_INVALID)")
	if n := faults.Calls("FOR_GOOD"); n != 0 {
		t.Errorf("%d objects were made for good, to be taken away again", n)
	}
	s, err := token.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	can := map[string]bool{}
	for _, a := range s.Abilities {
		can[a.For] = a.Can
		if !a.Can && !strings.Contains(a.Why, "CKR_MECHANISM_INVALID") {
			t.Errorf("%s: got %q", a.For, a.Why)
		}
	}
	if !can["derived"] || !can["signatures"] || can["random"] || can["shared"] || len(s.Keys) != 0 {
		t.Errorf("got %v, %d keys", can, len(s.Keys))
	}
	if p := s.Problems(); len(p) != 0 {
		t.Errorf("what no job needs is no problem: got %v", p)
	}
	s, err = token.Status(t.Context(), hsm.Want{Role: hsm.KEK, Label: "kek"})
	if err != nil || len(s.Problems()) != 1 {
		t.Errorf("what a job needs is one: got %v, %v", s.Problems(), err)
	}
}

// In a token that cannot sign at all nobody misses a signing key that was not
// asked for by name; in one that can, it was forgotten.
func TestASigningKeyThatNoTokenCanMake(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	token := hsmtest.Open(t, cfg)
	for _, c := range []struct {
		able, ifAble bool
		problems     int
	}{{false, true, 0}, {false, false, 1}, {true, true, 1}} {
		faults.Set()
		if !c.able {
			faults.Set("C_GenerateKeyPair 0x70 -1 0")
		}
		s, err := token.Status(t.Context(), hsm.Want{Role: hsm.Master, Label: hsm.Master.Label()},
			hsm.Want{Role: hsm.Signer, Label: hsm.Signer.Label(), IfAble: c.ifAble})
		if err != nil || len(s.Problems()) != c.problems {
			t.Errorf("%+v: got %q, %v", c, s.Problems(), err)
		}
		if c.problems > 0 && !strings.Contains(s.Problems()[0], "station hsm init --policy none") {
			t.Errorf("no way out: %q", s.Problems())
		}
	}
}

// Tokens that want the length, refuse to hear of EXTRACTABLE, or hand back a
// key that is not sensitive.
func TestImportIntoTokensOfTheirOwnMind(t *testing.T) {
	key := []byte("a flash key of 32 bytes, for all")
	for _, c := range []struct {
		name   string
		faults []string
		words  string // "": it is imported
	}{
		{"wants the length", []string{"NEED 0x161 -1 208"}, ""},
		// SoftHSM takes what is left out for false: the key could never leave.
		{"refuses EXTRACTABLE", []string{"UNWRAP 0x162 -1 16"}, "EXTRACTABLE is false"},
		{"hands it back in the open", []string{"WITHOUT 0x103 -1 0"}, "SENSITIVE is false"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
			token := hsmtest.Open(t, cfg)
			faults.Set(c.faults...)
			k, err := token.Import(t.Context(), "fleet", newSecret(t, key))
			if c.words == "" {
				if err != nil || k.Check != hsmtest.Check(key) {
					t.Errorf("got %+v, %v", k, err)
				}
				return
			}
			wantError(t, err, hsm.ErrAttributes, c.words)
			if faults.Calls("C_SetAttributeValue") == 0 {
				t.Error("nobody tried to set it")
			}
			faults.Set()
			if keys, err := token.Keys(t.Context()); err != nil || len(keys) != 0 {
				t.Errorf("left in the token: %v, %v", keys, err)
			}
		})
	}
}

// A token that knows no P-384 says so, and has one on P-256 made all the same.
func TestTokenWithoutP384(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
	token := hsmtest.Open(t, cfg)
	faults.Set("C_GenerateKeyPair 0x140 -1 0")
	_, err := token.InitType(t.Context(), hsm.SecureBoot, "long", hsm.P384)
	wantError(t, err, hsm.ErrCannot, "with EC private key on P-384: ", "CKR_CURVE_NOT_SUPPORTED")
	faults.Set()
	if _, err := token.InitType(t.Context(), hsm.SecureBoot, "short", hsm.P256); err != nil {
		t.Error(err)
	}
}
