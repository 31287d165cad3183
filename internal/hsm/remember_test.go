package hsm_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/secret"
)

// A program that is started again and again gives no wrong PIN twice. Each
// module of another path remembers nothing of the others, as a new process.
func TestAWrongPINIsRememberedAcrossProcesses(t *testing.T) {
	good := hsmtest.Token(t, hsm.Master)
	file := filepath.Join(t.TempDir(), "ledger.pins.json")
	for i, try := range []struct {
		pin    string
		logins int
		words  string
	}{
		{"not the PIN", 1, "wrong PIN (CKR_PIN_INCORRECT)"},
		{"not the PIN", 0, "is not given again: correct the PIN"},
		{"nor is this", 1, "wrong PIN (CKR_PIN_INCORRECT)"},
		{"not the PIN", 0, "delete " + file},
		{"nor is this", 0, "the token refused the PIN on "},
	} {
		cfg, faults := hsmtest.Faulty(t, good)
		cfg.URI.PINSource, cfg.Refused = "", file
		cfg.Prompt = func(string) (*secret.Bytes, error) { return secret.New([]byte(try.pin)) }
		_, err := hsm.Open(cfg)
		wantError(t, err, hsm.ErrPIN, try.words)
		if n := faults.Calls("C_Login"); n != try.logins {
			t.Errorf("try %d: %d logins, want %d", i, n, try.logins)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil || bytes.Contains(text, []byte("not the PIN")) {
		t.Errorf("got %q, %v", text, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got %v, %v, want mode 0600", info.Mode(), err)
	}
	good.Refused = file
	hsmtest.Open(t, good)
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the right PIN left the file: %v", err)
	}
}

// A file that is damaged, or of another version, or none, keeps nobody out.
func TestDamagedMemoryOfPINs(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master)
	cfg.Refused = filepath.Join(t.TempDir(), "pins.json")
	for _, text := range []string{"", "{", "null", `{"version":1}`, `{"version":1,"tokens":{"x":null}}`, `{"version":9,"tokens":{}}`} {
		if err := os.WriteFile(cfg.Refused, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		token, err := hsm.Open(cfg)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		token.Close()
	}
}
