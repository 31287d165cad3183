package hsm_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
	"station/internal/secret"
)

// The store of the token is moved away and back, several times in one process.
func TestTokenGoesAndComesBack(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master, hsm.SharedKey, hsm.KEK, hsm.Signer)
	token := hsmtest.Open(t, cfg)
	second := hsmtest.Open(t, cfg) // shares the module
	before := deviceKey(t, token, derived(32))
	signer, err := token.Signer(t.Context(), "station-signer")
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		back := hsmtest.Away(t, cfg)
		for range 2 {
			_, err := token.DeviceKey(t.Context(), derived(32))
			wantError(t, err, hsm.ErrUnavailable, "hsm: the token is away: ")
			_, err = second.Keys(t.Context())
			wantError(t, err, hsm.ErrUnavailable)
			wantError(t, second.Check(t.Context()), hsm.ErrUnavailable)
			_, err = signer.Sign(nil, make([]byte, 32), nil)
			wantError(t, err, hsm.ErrUnavailable)
		}
		back()
		for _, p := range []hsm.Policy{hsm.Derived, hsm.Shared, hsm.Random} { // also the wrapping key is in a new session
			k := deviceKey(t, token, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: p, Label: p.Role().Label()})
			if p == hsm.Derived && k.ID != before.ID {
				t.Errorf("got %s, before %s", k.ID, before.ID)
			}
		}
		if err := second.Check(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := signer.Sign(nil, make([]byte, 32), nil); err != nil {
			t.Error(err)
		}
	}
}

// Another token in the place of ours, of the same label, is not ours.
func TestAnotherTokenOfTheSameLabel(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master)
	token := hsmtest.Open(t, cfg)
	back := hsmtest.Away(t, cfg)
	defer back()
	dir := filepath.Dir(strings.TrimPrefix(cfg.URI.PINSource, "file:"))
	store := filepath.Join(dir, "tokens")
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(store)
	wantError(t, token.Check(t.Context()), hsm.ErrUnavailable) // restarts the module on the empty store
	pin := newSecret(t, []byte(hsmtest.PIN(t, cfg)))
	if _, err := hsm.InitToken(cfg.URI.ModulePath, hsm.ThrowawayLabel, pin, pin); err != nil {
		t.Fatal(err)
	}
	err := token.Check(t.Context())
	wantError(t, err, hsm.ErrNoToken, "the module has", `"station throwaway"`)
	wantError(t, err, hsm.ErrUnavailable)
}

func check(t *testing.T, token *hsm.Token) {
	t.Helper()
	if err := token.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// Each code by which a token says that it is gone, at each call of a key's
// making: once, and the same call succeeds by logging in again; for ever, and
// it says so after one more try.
func TestLostSessions(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master, hsm.KEK))
	token := hsmtest.Open(t, cfg)
	want := deviceKey(t, token, derived(32))
	for _, fn := range []string{"C_FindObjectsInit", "C_FindObjects", "C_GetAttributeValue", "C_SignInit", "C_Sign", "C_GetTokenInfo"} {
		for _, code := range []int{0xb3, 0x32, 0xe0, 0x101, 0xb0, 0x30} {
			check(t, token) // its attributes are read again
			faults.Set(fmt.Sprintf("%s %#x 1 0", fn, code))
			if k := deviceKey(t, token, derived(32)); k.ID != want.ID {
				t.Errorf("%s %#x once: got %s, want %s", fn, code, k.ID, want.ID)
			}
			check(t, token)
			logins := faults.Calls("C_Login")
			faults.Set(fmt.Sprintf("%s %#x -1 0", fn, code))
			_, err := token.DeviceKey(t.Context(), derived(32))
			wantError(t, err, hsm.ErrUnavailable)
			if n := faults.Calls("C_Login") - logins; n > 2 {
				t.Errorf("%s %#x for ever: %d logins in one call", fn, code, n)
			}
			faults.Set()
			check(t, token)
		}
	}
	for _, fn := range []string{"C_GenerateKey", "C_WrapKey", "C_UnwrapKey", "C_DestroyObject", "C_CreateObject", "C_GetSessionInfo"} {
		faults.Set(fn + " 0xb3 1 0")
		deviceKey(t, token, hsm.Request{Chip: "esp32", Purpose: chip.FlashEncryption, MAC: mac, Size: 32, Policy: hsm.Random, Label: "station-kek"})
	}
}

// What might leave a second object behind is not done twice.
func TestMakingIsNotRepeated(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
	token := hsmtest.Open(t, cfg)
	faults.Set("C_GenerateKey 0xb3 1 0")
	_, err := token.Init(t.Context(), hsm.Master, "m")
	wantError(t, err, hsm.ErrUnavailable, "make generic secret key: the session with the token is lost (CKR_SESSION_HANDLE_INVALID)")
	if n := faults.Calls("C_GenerateKey"); n != 1 {
		t.Errorf("C_GenerateKey was called %d times", n)
	}
	if _, err := token.Init(t.Context(), hsm.Master, "m"); err != nil {
		t.Error(err)
	}
	faults.Set("C_GenerateKey 0x31 1 0")
	_, err = token.NewShared(t.Context(), "s", 32)
	wantError(t, err, hsm.ErrFull, "the token has no memory left (CKR_DEVICE_MEMORY)")
	faults.Set("C_GenerateKey 0x5 1 0") // no loss: the token is well
	_, err = token.NewShared(t.Context(), "s", 32)
	if err == nil || errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Whatever the way by which it comes, no wrong PIN is given twice. Another one
// may be the right one.
func TestWrongPINIsTriedOnce(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	typed := cfg
	text := ""
	typed.URI.PINSource = ""
	typed.Prompt = func(string) (*secret.Bytes, error) { return secret.New([]byte(text)) }
	file := filepath.Join(t.TempDir(), "pin")
	stored := cfg
	stored.URI.PINSource = "file:" + file
	logins := 0
	for i, try := range []struct {
		pin    string
		cfg    hsm.Config
		logins int
	}{
		{"not the PIN", typed, 1}, {"not the PIN", typed, 0}, {"not the PIN", stored, 0},
		{"nor is this", stored, 1}, {"nor is this", typed, 0}, {"nor is this", stored, 0},
	} {
		text = try.pin
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := hsm.Open(try.cfg)
		wantError(t, err, hsm.ErrPIN, "hsm: login: wrong PIN (CKR_PIN_INCORRECT)")
		if logins += try.logins; faults.Calls("C_Login") != logins {
			t.Fatalf("try %d: %d logins, want %d", i, faults.Calls("C_Login"), logins)
		}
	}
	token := hsmtest.Open(t, cfg)
	if _, err := token.DeviceKey(t.Context(), derived(32)); err != nil {
		t.Error(err)
	}
}

// The PIN is changed, or spoiled, while the line runs: the login after a loss
// is the only one.
func TestPINRefusedAfterALoss(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	token := hsmtest.Open(t, cfg)
	faults.Set("C_Sign 0xb3 1 0", "C_Login 0xa0 -1 0")
	logins := faults.Calls("C_Login")
	for range 3 {
		_, err := token.DeviceKey(t.Context(), derived(32))
		wantError(t, err, hsm.ErrPIN, "wrong PIN (CKR_PIN_INCORRECT)")
	}
	if n := faults.Calls("C_Login") - logins; n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

func TestATokenThatIsNearlyLockedIsLeftAlone(t *testing.T) {
	for flag, words := range map[string]string{
		"0x20000": "one more wrong PIN locks it",
		"0x40000": "the PIN is locked after too many wrong ones (CKR_PIN_LOCKED)",
	} {
		cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
		faults.Set("FLAGS " + flag + " -1 0")
		_, err := hsm.Open(cfg)
		wantError(t, err, hsm.ErrPIN, words)
		if n := faults.Calls("C_Login"); n != 0 {
			t.Errorf("flag %s: %d logins", flag, n)
		}
	}
}

// A module that does not come back does not hold up the station.
func TestAModuleThatHangs(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	token := hsmtest.Open(t, cfg)
	faults.Set("C_Sign 0 1 -1")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := token.DeviceKey(ctx, derived(32))
	wantError(t, err, context.DeadlineExceeded)
	ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = token.DeviceKey(ctx, derived(32)) // behind the one that hangs
	wantError(t, err, hsm.ErrUnavailable, "its module is busy")
	faults.Set()                     // it comes back
	deviceKey(t, token, derived(32)) // waits for its turn
}

func TestClosed(t *testing.T) {
	cfg := hsmtest.Token(t, hsm.Master)
	first, second := hsmtest.Open(t, cfg), hsmtest.Open(t, cfg)
	if err := errors.Join(first.Close(), first.Close()); err != nil {
		t.Fatal(err)
	}
	_, err := first.DeviceKey(t.Context(), derived(32))
	wantError(t, err, hsm.ErrClosed)
	deviceKey(t, second, derived(32)) // lives on
}
