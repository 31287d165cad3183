package hsm_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

// The codes of a module whose daemon has died say nothing. One start of the
// module, one login and one more call find out.
func TestADaemonThatDied(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	token := hsmtest.Open(t, cfg)
	want := deviceKey(t, token, derived(32))
	for _, code := range []int{0x5, 0x6, 0x2, 0x30} {
		starts, logins := faults.Calls("C_Initialize"), faults.Calls("C_Login")
		faults.Set(fmt.Sprintf("C_Sign %#x 1 0", code))
		if k := deviceKey(t, token, derived(32)); k.ID != want.ID {
			t.Errorf("%#x once: got %s, want %s", code, k.ID, want.ID)
		}
		if s, l := faults.Calls("C_Initialize")-starts, faults.Calls("C_Login")-logins; s != 1 || l != 1 {
			t.Errorf("%#x once: %d starts, %d logins, want one of each", code, s, l)
		}
		faults.Set(fmt.Sprintf("ALL %#x -1 0", code)) // the daemon is gone
		for range 2 {
			_, err := token.DeviceKey(t.Context(), derived(32))
			wantError(t, err, hsm.ErrUnavailable)
			wantError(t, token.Check(t.Context()), hsm.ErrUnavailable)
		}
		faults.Set()
		if k := deviceKey(t, token, derived(32)); k.ID != want.ID {
			t.Errorf("%#x is over: got %s, want %s", code, k.ID, want.ID)
		}
	}
	// A token that is well and says no stays a token that says no.
	faults.Set("C_Sign 0x5 -1 0")
	if _, err := token.DeviceKey(t.Context(), derived(32)); err == nil || errors.Is(err, hsm.ErrUnavailable) {
		t.Errorf("a refusal: got %v", err)
	}
	// A module that tells of a token long after its daemon died.
	faults.Set("C_GenerateRandom 0x5 -1 0")
	wantError(t, token.Check(t.Context()), hsm.ErrUnavailable)
}

// A frozen token is told while it is frozen, by whoever asks, and taken up again
// when it answers. There are never two threads in the module.
func TestAFrozenToken(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master))
	cfg.Answer = 300 * time.Millisecond
	begin := time.Now()
	answers := func(ask func() error) { // on a machine that does a lot else any call may seem frozen
		t.Helper()
		err := ask()
		for errors.Is(err, hsm.ErrUnavailable) && time.Since(begin) < time.Minute {
			err = ask()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var token *hsm.Token
	answers(func() (err error) { token, err = hsm.Open(cfg); return err })
	defer answers(func() error { return token.Close() })
	key := func() (id string) {
		answers(func() error {
			k, err := token.DeviceKey(t.Context(), derived(32))
			k.Secret.Destroy()
			id = k.ID
			return err
		})
		return id
	}
	want := key()
	faults.Set("C_Sign 0 1 -1")
	for range 3 { // the one that froze, and two behind it
		_, err := token.DeviceKey(t.Context(), derived(32))
		wantError(t, err, hsm.ErrUnavailable, "does not answer: a call has been in its module for more than 300ms")
	}
	_, err := hsm.Open(cfg)
	wantError(t, err, hsm.ErrUnavailable, "does not answer")
	faults.Set()
	if got := key(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if n := faults.Calls("TWO"); n != 0 {
		t.Errorf("%d times two threads were in the module", n)
	}
}

// A PIN that the token cannot have costs no try.
func TestPINOfAnImpossibleLength(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t))
	file := filepath.Join(t.TempDir(), "pin")
	cfg.URI.PINSource = "file:" + file
	for _, pin := range []string{"123", strings.Repeat("1", 255) + "2"[:0]} {
		if err := os.WriteFile(file, []byte(pin), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := hsm.Open(cfg)
		if len(pin) < 4 {
			wantError(t, err, hsm.ErrPIN, "which was not given to it", "has 4 to 255 characters, this one has 3")
		} else {
			wantError(t, err, hsm.ErrPIN, "wrong PIN") // SoftHSM takes that many
		}
	}
	if n := faults.Calls("C_Login"); n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// Two tokens of one label and one serial number, as opencryptoki gives them
// all: the signing key tells them apart.
func TestASerialNumberIsNoIdentity(t *testing.T) {
	cfg, faults := hsmtest.Faulty(t, hsmtest.Token(t, hsm.Master, hsm.Signer))
	faults.Set("SERIAL 123 -1 0")
	token := hsmtest.Open(t, cfg)
	deviceKey(t, token, derived(32))
	dir := filepath.Dir(strings.TrimPrefix(cfg.URI.PINSource, "file:"))
	store := filepath.Join(dir, "tokens")
	back := hsmtest.Away(t, cfg)
	if err := os.Mkdir(store, 0o700); err != nil {
		t.Fatal(err)
	}
	wantError(t, token.Check(t.Context()), hsm.ErrUnavailable)
	pin := newSecret(t, []byte(hsmtest.PIN(t, cfg)))
	if _, err := hsm.InitToken(cfg.URI.ModulePath, hsm.ThrowawayLabel, pin, pin); err != nil {
		t.Fatal(err)
	}
	other := hsmtest.Open(t, cfg)
	for _, role := range []hsm.Role{hsm.Master, hsm.Signer} {
		if _, err := other.Init(t.Context(), role, role.Label()); err != nil {
			t.Fatal(err)
		}
	}
	_, err := token.DeviceKey(t.Context(), derived(32))
	wantError(t, err, hsm.ErrNoToken, "of the same serial number has another signing key")
	wantError(t, err, hsm.ErrUnavailable)
	if err := os.RemoveAll(store); err != nil {
		t.Fatal(err)
	}
	back()
	deviceKey(t, token, derived(32))
}
