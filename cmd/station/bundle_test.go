package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/firmware"
	"station/internal/flashcrypt"
	field "station/internal/release"
	"station/internal/secret"
)

// bundle writes a slot bundle of the small product's app, under a key of its
// own, and the public key that signed it.
func (w *workplace) bundle(name, public string) {
	w.t.Helper()
	signer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := secret.New(bytes.Repeat([]byte{5}, 32))
	if err != nil {
		w.t.Fatal(err)
	}
	defer key.Destroy()
	app, err := os.ReadFile("../../fixtures/small/app.bin")
	if err != nil {
		w.t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(w.dir, name))
	if err != nil {
		w.t.Fatal(err)
	}
	of := field.BundleOf{App: app, Product: "lamp", Signer: signer,
		Targets: []field.Target{{Address: 0x60000, Cipher: field.CipherESP32, Config: 0xf}, {Address: 0x1d0000, Cipher: field.CipherESP32, Config: 0xf}},
		Encrypt: func(t field.Target, plain []byte) ([]byte, error) {
			c, err := flashcrypt.New(key, t.Config)
			if err != nil {
				return nil, err
			}
			defer c.Destroy()
			return plain, c.Encrypt(plain, plain, t.Address)
		}}
	_, err = of.Write(f)
	der, err1 := x509.MarshalPKIXPublicKey(signer.Public())
	if err := errors.Join(err, err1, f.Close(), os.WriteFile(filepath.Join(w.dir, public), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644)); err != nil {
		w.t.Fatal(err)
	}
}

// A bundle is whole, or what is wrong with it is named.
func TestBundleCheck(t *testing.T) {
	t.Parallel()
	w := &workplace{t: t, bin: install(t), dir: t.TempDir()}
	w.bundle("lamp.bundle", "good.pem")
	w.bundle("other.bundle", "other.pem")
	out, _ := w.run(0, "release", "bundle", "check", "--key", "other.pem", "--key", "good.pem", "lamp.bundle")
	for _, want := range []string{"product       lamp", "app           station-example 1.0.0", "slot          0x60000, config 0xf, 4704 bytes at 4096", "signature     holds"} {
		if !strings.Contains(out, want) {
			t.Errorf("got %s, want %q", out, want)
		}
	}
	out, _ = w.run(0, "release", "bundle", "check", "--key", "good.pem", "lamp.bundle", "--json")
	if err := fits("bundle-check/1", out); err != nil || !strings.Contains(out, `"ok": true`) || !strings.Contains(out, `"signer"`) {
		t.Errorf("%v in %s", err, out)
	}
	out, _ = w.run(exitUsage, "release", "bundle", "check", "--key", "other.pem", "lamp.bundle", "--json")
	if err := fits("bundle-check/1", out); err != nil || !strings.Contains(out, `"ok": false`) || !strings.Contains(out, "another key signed it") || strings.Contains(out, `"signer"`) {
		t.Errorf("another key: %v in %s", err, out)
	}
	if out, _ := w.run(exitUsage, "release", "bundle", "check", "--key", "other.pem", "lamp.bundle"); !strings.Contains(out, "another key signed it") {
		t.Errorf("another key: %s", out)
	}
	whole, err := os.ReadFile(filepath.Join(w.dir, "lamp.bundle"))
	if err != nil {
		t.Fatal(err)
	}
	for want, at := range map[string]int{"does not begin with": 3, "the signature does not hold": 65, "the slot for 0x60000, config 0xf, was changed": 5000} {
		b := bytes.Clone(whole)
		b[at] ^= 1
		if err := os.WriteFile(filepath.Join(w.dir, "bad.bundle"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		if out, _ := w.run(exitUsage, "release", "bundle", "check", "--key", "good.pem", "bad.bundle"); !strings.Contains(out, want) {
			t.Errorf("changed at %d: got %s, want %q", at, out, want)
		}
	}
	if err := os.Truncate(filepath.Join(w.dir, "lamp.bundle"), 300); err != nil {
		t.Fatal(err)
	}
	if out, _ := w.run(exitUsage, "release", "bundle", "check", "--key", "good.pem", "lamp.bundle"); !strings.Contains(out, "cut short: 300 bytes") {
		t.Errorf("cut: %s", out)
	}
}

func secretOf(t *testing.T, key []byte) *secret.Bytes {
	t.Helper()
	s, err := secret.New(bytes.Clone(key))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Destroy)
	return s
}

// secureVersion writes an app with another secure version, whole.
func (w *workplace) secureVersion(app []byte, name string, version byte) {
	w.t.Helper()
	b := []byte(rewritten(w.t, app, firmware.FirstData+4, string([]byte{version})))
	if err := os.WriteFile(filepath.Join(w.dir, name), b, 0o644); err != nil {
		w.t.Fatal(err)
	}
}
