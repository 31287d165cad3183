package hsm_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/secret"

	"github.com/miekg/pkcs11"
)

func TestThrowaway(t *testing.T) {
	t.Setenv("SOFTHSM2_CONF", "/where/it/was")
	dir := t.TempDir()
	cfg, cleanup, err := hsm.Throwaway(dir)
	if err != nil {
		t.Fatal(err)
	}
	token, err := hsm.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if i := token.Info(); !i.Throwaway() || !strings.HasPrefix(token.URI(), "pkcs11:token=station%20throwaway;manufacturer=SoftHSM%20project;serial="+i.Serial) {
		t.Errorf("got %+v, %s", i, token.URI())
	}
	if _, _, err := hsm.Throwaway(t.TempDir()); err == nil || !strings.Contains(err.Error(), "open in this process") {
		t.Errorf("a second store under an open token: got %v", err)
	}
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"pin", "softhsm2.conf"} {
		if info, err := os.Stat(filepath.Join(dir, file)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: got %v, %v", file, info, err)
		}
	}
	if err := cleanup(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 || os.Getenv("SOFTHSM2_CONF") != "/where/it/was" {
		t.Errorf("left %v, %v, SOFTHSM2_CONF=%s", left, err, os.Getenv("SOFTHSM2_CONF"))
	}
	if _, _, err := hsm.Throwaway("/dev/null/x"); err == nil {
		t.Error("made a token in /dev/null/x")
	}
}

func TestInitToken(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master)
	open := hsmtest.Open(t, cfg)
	module, so, user := cfg.URI.ModulePath, newSecret(t, []byte("so pin 12")), newSecret(t, []byte("user pin 12"))
	info, err := hsm.InitToken(module, "line 2", so, user)
	if err != nil || info.Label != "line 2" || info.Serial == "" || info.Throwaway() {
		t.Fatalf("got %+v, %v", info, err)
	}
	deviceKey(t, open, derived(32)) // the open token found its new session
	asked := ""
	second := hsmtest.Open(t, hsm.Config{URI: hsm.URI{Serial: info.Serial, ModulePath: module}, Prompt: func(q string) (*secret.Bytes, error) {
		asked = q
		return secret.New([]byte("user pin 12"))
	}})
	if second.Info().Serial != info.Serial || asked != `PIN of the token "line 2"` {
		t.Errorf("got %+v, asked %q", second.Info(), asked)
	}
	_, err = hsm.InitToken(module, "line 2", so, user)
	wantError(t, err, hsm.ErrExists, `a token "line 2"`)
	for _, label := range []string{"", strings.Repeat("x", 33), "a\tb"} {
		if _, err := hsm.InitToken(module, label, so, user); err == nil || !strings.Contains(err.Error(), "label") {
			t.Errorf("label %q: got %v", label, err)
		}
	}
	_, err = hsm.InitToken(module, "line 3", so, newSecret(t, []byte("1")))
	wantError(t, err, hsm.ErrPIN, "set user PIN: the PIN is too short")
	_, err = hsm.Open(hsm.Config{URI: hsm.URI{Token: "line 3", ModulePath: module}})
	wantError(t, err, hsm.ErrBlank, "no user PIN yet")
	_, err = hsm.Open(hsm.Config{URI: hsm.URI{ModulePath: module}})
	wantError(t, err, hsm.ErrTokens, "add token=", `"line 2"`)
}

func TestNoPIN(t *testing.T) {
	cfg := hsmtest.Token(t)
	cfg.URI.PINSource = ""
	_, err := hsm.Open(cfg)
	wantError(t, err, hsm.ErrNoPIN, "pin-source=file:/path", "STATION_PIN")
	t.Setenv(hsm.PINEnv, "whatever")
	cfg.URI.Token = "other" // not asked for a PIN of a token that is not there
	cfg.Prompt = func(string) (*secret.Bytes, error) { t.Error("asked"); return nil, nil }
	_, err = hsm.Open(cfg)
	wantError(t, err, hsm.ErrNoToken)
}

// A token with a key pad of its own asks for the PIN itself.
func TestKeyPad(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
	faults.Set("FLAGS 0x100 -1 0") // CKF_PROTECTED_AUTHENTICATION_PATH
	cfg.URI.PINSource = ""
	cfg.Prompt = func(string) (*secret.Bytes, error) { t.Error("asked"); return nil, nil }
	// SoftHSM has no key pad: that it is given no PIN is all that it can say.
	_, err := hsm.Open(cfg)
	var code *hsm.Error
	if !errors.As(err, &code) || code.Op != "login" || code.Code != pkcs11.CKR_ARGUMENTS_BAD {
		t.Errorf("got %v", err)
	}
}

// A find in SoftHSM reads every object of the token, so a token that serves
// other purposes slows us down. It must stay far below the second per key
// that a line has.
func TestTokenWithManyObjects(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master)
	hsmtest.Session(t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		for range 300 {
			if _, err := c.CreateObject(s, []*pkcs11.Attribute{
				pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA), pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
				pkcs11.NewAttribute(pkcs11.CKA_LABEL, "other"), pkcs11.NewAttribute(pkcs11.CKA_VALUE, "x")}); err != nil {
				t.Fatal(err)
			}
		}
	})
	token := hsmtest.Open(t, cfg)
	s, err := token.Status(t.Context())
	if err != nil || len(s.Others) != 300 || len(s.Keys) != 1 {
		t.Errorf("got %d others, %d keys, %v", len(s.Others), len(s.Keys), err)
	}
	deviceKey(t, token, derived(32))
}
