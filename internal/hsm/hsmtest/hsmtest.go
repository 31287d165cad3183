// Package hsmtest gives tests a real token: SoftHSM with a fresh store per
// test, objects of any kind in it, and a way to lose it. A test that uses it
// cannot run in parallel with another one: SoftHSM has one configuration per
// process.
package hsmtest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/hsm"

	"github.com/miekg/pkcs11"
)

// Token makes a token with keys of the roles under their usual labels
// (Role.Label); a shared key has 32 bytes. Without SoftHSM the test fails.
func Token(t testing.TB, roles ...hsm.Role) hsm.Config {
	t.Helper()
	t.Setenv("SOFTHSM2_CONF", os.Getenv("SOFTHSM2_CONF")) // restores, and refuses parallel tests
	cfg, cleanup, err := hsm.Throwaway(t.TempDir())
	if errors.Is(err, hsm.ErrNoModule) {
		t.Fatalf("%v; `make deps` installs it", err)
	} else if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cleanup(); err != nil {
			t.Error(err)
		}
	})
	if len(roles) == 0 {
		return cfg
	}
	token, err := hsm.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, role := range roles {
		if role == hsm.SharedKey {
			_, err = token.NewShared(t.Context(), role.Label(), 32)
		} else {
			_, err = token.Init(t.Context(), role, role.Label())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := token.Close(); err != nil {
		t.Fatal(err)
	}
	return cfg
}

// Open opens the token for the length of the test.
func Open(t testing.TB, cfg hsm.Config) *hsm.Token {
	t.Helper()
	token, err := hsm.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := token.Close(); err != nil {
			t.Error(err)
		}
	})
	return token
}

// Master is a fixed master key for tests that recompute what the token
// derives. Put it in with Known.
var Master = []byte("a master key that tests may know")

// Known puts the generic secret into the token as a master of that label, all
// attributes right but for its origin. It returns a Config that accepts such.
func Known(t testing.TB, cfg hsm.Config, label string, value []byte) hsm.Config {
	t.Helper()
	Create(t, cfg, append(MasterTemplate(label),
		pkcs11.NewAttribute(pkcs11.CKA_VALUE, value))...)
	return Vouch(cfg, hsm.Noted{Role: hsm.Master, Label: label, Check: Check(value)})
}

// Vouch adds to what the records of the site say of the token's keys.
func Vouch(cfg hsm.Config, noted ...hsm.Noted) hsm.Config {
	before := cfg.Record
	cfg.Record = func(i hsm.Info) []hsm.Noted {
		if before == nil {
			return noted
		}
		return append(before(i), noted...)
	}
	return cfg
}

// Check is the check value of a key, by Go's HMAC.
func Check(key []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(hsm.CheckLabel))
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// MasterTemplate are the attributes of a good master without its value.
func MasterTemplate(label string) []*pkcs11.Attribute {
	list := []*pkcs11.Attribute{
		pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_SECRET_KEY),
		pkcs11.NewAttribute(pkcs11.CKA_KEY_TYPE, pkcs11.CKK_GENERIC_SECRET),
		pkcs11.NewAttribute(pkcs11.CKA_TOKEN, true),
		pkcs11.NewAttribute(pkcs11.CKA_PRIVATE, true),
		pkcs11.NewAttribute(pkcs11.CKA_SENSITIVE, true),
		pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, false),
		pkcs11.NewAttribute(pkcs11.CKA_LABEL, label),
		pkcs11.NewAttribute(pkcs11.CKA_ID, "station:master:"+label),
		pkcs11.NewAttribute(pkcs11.CKA_SIGN, true),
	}
	for _, not := range []uint{pkcs11.CKA_VERIFY, pkcs11.CKA_ENCRYPT, pkcs11.CKA_DECRYPT, pkcs11.CKA_WRAP, pkcs11.CKA_UNWRAP, pkcs11.CKA_DERIVE} {
		list = append(list, pkcs11.NewAttribute(not, false))
	}
	return list
}

// Create puts an object of any kind into the token.
func Create(t testing.TB, cfg hsm.Config, attributes ...*pkcs11.Attribute) {
	t.Helper()
	Session(t, cfg, func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		if _, err := c.CreateObject(s, attributes); err != nil {
			t.Fatal(err)
		}
	})
}

// Session gives fn a session of its own, logged in, with nothing of ours
// between it and the module.
func Session(t testing.TB, cfg hsm.Config, fn func(*pkcs11.Ctx, pkcs11.SessionHandle)) {
	t.Helper()
	c := pkcs11.New(cfg.URI.ModulePath)
	if c == nil {
		t.Fatalf("%s cannot be loaded", cfg.URI.ModulePath)
	}
	switch err := c.Initialize(); {
	case err == nil:
		defer func() { _ = c.Finalize() }()
	case !errors.Is(err, pkcs11.Error(pkcs11.CKR_CRYPTOKI_ALREADY_INITIALIZED)): // a Token is open
		t.Fatal(err)
	}
	slots, err := c.GetSlotList(true)
	if err != nil {
		t.Fatal(err)
	}
	for _, slot := range slots {
		info, err := c.GetTokenInfo(slot)
		if err != nil || info.Label != cfg.URI.Token {
			continue
		}
		s, err := c.OpenSession(slot, pkcs11.CKF_SERIAL_SESSION|pkcs11.CKF_RW_SESSION)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = c.CloseSession(s) }()
		err = c.Login(s, pkcs11.CKU_USER, PIN(t, cfg))
		if err != nil && !errors.Is(err, pkcs11.Error(pkcs11.CKR_USER_ALREADY_LOGGED_IN)) {
			t.Fatal(err)
		}
		fn(c, s)
		return
	}
	t.Fatalf("no token %q in %s", cfg.URI.Token, cfg.URI.ModulePath)
}

// PIN is the user PIN of the token.
func PIN(t testing.TB, cfg hsm.Config) string {
	t.Helper()
	b, err := os.ReadFile(pinFile(cfg))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

// Away takes the token's store away from under SoftHSM, as pulling a token
// does. back puts it back.
func Away(t testing.TB, cfg hsm.Config) (back func()) {
	t.Helper()
	here := filepath.Join(filepath.Dir(pinFile(cfg)), "tokens")
	away := here + ".away"
	move := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	move(here, away)
	return func() { t.Helper(); move(away, here) }
}

func pinFile(cfg hsm.Config) string { return strings.TrimPrefix(cfg.URI.PINSource, "file:") }
