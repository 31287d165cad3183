package main

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/flashcrypt"
	field "station/internal/release"
	"station/internal/secureboot"
	"station/internal/sim"
)

const c3Files = "../../fixtures/chips/esp32c3/"

// nextC3 is the app of the C3 as the version that next.manifest tells of: signed
// for secure boot 2, and in a bundle of the key that the fleet's flash has. digest is
// that of who signs apps.
func nextC3(t *testing.T) (bundle, digest []byte) {
	t.Helper()
	app, err := os.ReadFile(c3Files + "app.bin")
	appKey, err1 := x509.ParsePKCS8PrivateKey(deviceFile(t, "author-private.der"))
	bundleKey, err2 := x509.ParsePKCS8PrivateKey(deviceFile(t, "bundle-private.der"))
	if err := errors.Join(err, err1, err2); err != nil {
		t.Fatal(err)
	}
	sum := len(app) - sha256.Size - 1
	for i, b := range deviceFile(t, "next.bin")[firmware.FirstData:][:256] { // the descriptor
		app[sum] ^= app[firmware.FirstData+i] ^ b
		app[firmware.FirstData+i] = b
	}
	whole := sha256.Sum256(app[:sum+1])
	signed, err := secureboot.Sign(append(app[:sum+1:sum+1], whole[:]...), appKey.(*rsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	proved, err := secureboot.Verify(signed, &appKey.(*rsa.PrivateKey).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	key := deviceFile(t, "flash.key")
	check := hmac.New(sha256.New, key)
	check.Write([]byte("station key check v1"))
	path := filepath.Join(t.TempDir(), "c3.bundle")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_, err = field.BundleOf{App: signed, Product: "station-example", Check: [8]byte(check.Sum(nil)[:8]), Signer: bundleKey.(*ecdsa.PrivateKey),
		Targets: []field.Target{{Address: 0x10000, Cipher: field.CipherXTS128}, {Address: 0x20000, Cipher: field.CipherXTS128}},
		Encrypt: func(to field.Target, plain []byte) ([]byte, error) {
			c, err := flashcrypt.NewXTS(secretOf(t, key))
			if err != nil {
				return nil, err
			}
			defer c.Destroy()
			return plain, c.Encrypt(plain, plain, to.Address)
		}}.Write(f)
	if err == nil {
		bundle, err = os.ReadFile(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	return bundle, proved.KeyDigests[0][:]
}

// A C3 that the line sealed takes its update too: a slot bundle, encrypted by
// XTS-AES for the slot that it writes to, with a signature of secure boot 2. One that is for
// the ESP32 it does not take.
func TestVirtualC3Updates(t *testing.T) {
	w := newWorkplace(t)
	job := strings.NewReplacer(`chip = "esp32"`, `chip = "esp32c3"`, "address = 0x1000", "address = 0x0").Replace(fieldJob)
	approval := w.fieldProductOf(job, c3Files+"bootloader.bin", c3Files+"app.bin")
	d := newFieldDevice(t, w, sim.Options{Chip: chip.ByName("esp32c3"), MAC: [6]byte{0x24, 0x0a, 0xc4, 1, 2, 4}, Real: true, FlashSize: 1 << 20, Rollback: true})
	bundle, digest := nextC3(t)
	if err := errors.Join(os.WriteFile(filepath.Join(d.keys, "v2.digest"), digest, 0o600), os.Remove(filepath.Join(d.keys, "v1.der"))); err != nil {
		t.Fatal(err)
	}
	w.seal(0, nil, "--job", "field/job.toml", "--port", d.port, "--approve", approval, "--operator", "anna")
	mac := chip.MAC(d.chip.MAC()).String()
	server := w.serveUpdates(d, mac)
	if got := d.boots(); got != "1.0.0 at 0x10000" {
		t.Fatalf("sealed, it boots %s", got)
	}
	server.release("1.1.0", "next", "next.bundle")
	d.does("update", "the firmware is for another product or another chip")
	server.releaseOf("1.1.0", "next", bundle)
	d.does("update", "1.1.0")
	d.does("confirm", "done")
	d.staysUpdated("1.1.0 at 0x20000")
	server.proves(w, mac, "1 failure, 2 success")
}
