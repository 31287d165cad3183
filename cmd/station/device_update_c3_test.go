package main

import (
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
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

// nextC3App is the app of the C3 as the version that next.manifest tells of, signed for
// secure boot 2. digest is that of who signed it.
func nextC3App(t *testing.T) (signed, digest []byte) {
	t.Helper()
	app, err := os.ReadFile(c3Files + "app.bin")
	appKey, err1 := x509.ParsePKCS8PrivateKey(deviceFile(t, "author-private.der"))
	if err := errors.Join(err, err1); err != nil {
		t.Fatal(err)
	}
	sum := len(app) - sha256.Size - 1
	for i, b := range deviceFile(t, "next.bin")[firmware.FirstData:][:256] { // the descriptor
		app[sum] ^= app[firmware.FirstData+i] ^ b
		app[firmware.FirstData+i] = b
	}
	whole := sha256.Sum256(app[:sum+1])
	signed, err = secureboot.Sign(append(app[:sum+1:sum+1], whole[:]...), appKey.(*rsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	proved, err := secureboot.Verify(signed, &appKey.(*rsa.PrivateKey).PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return signed, proved.KeyDigests[0][:]
}

// nextC3 is that app in a bundle of the key that the fleet's flash has.
func nextC3(t *testing.T) (bundle, digest []byte) {
	t.Helper()
	signed, digest := nextC3App(t)
	bundleKey, err := x509.ParsePKCS8PrivateKey(deviceFile(t, "bundle-private.der"))
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
	return bundle, digest
}

// fieldC3 is a C3 in the field, sealed with a job that is changed by pairs.
func (w *workplace) fieldC3(pairs ...string) (d *fieldDevice, mac string) {
	w.t.Helper()
	pairs = append(pairs, `chip = "esp32"`, `chip = "esp32c3"`, "address = 0x1000", "address = 0x0")
	approval := w.fieldProductOf(strings.NewReplacer(pairs...).Replace(fieldJob), c3Files+"bootloader.bin", c3Files+"app.bin")
	d = newFieldDevice(w.t, w, sim.Options{Chip: chip.ESP32C3, MAC: [6]byte{0x24, 0x0a, 0xc4, 1, 2, 4}, Real: true, FlashSize: 1 << 20, Rollback: true})
	w.seal(0, nil, "--job", "field/job.toml", "--port", d.port, "--approve", approval, "--operator", "anna")
	return d, chip.MAC(d.chip.MAC()).String()
}

// trusts lets the application take apps of one author, for secure boot 2.
func (d *fieldDevice) trusts(digest []byte) {
	d.t.Helper()
	if err := errors.Join(os.WriteFile(filepath.Join(d.keys, "v2.digest"), digest, 0o600), os.Remove(filepath.Join(d.keys, "v1.der"))); err != nil {
		d.t.Fatal(err)
	}
}

// A C3 that the line sealed takes its update too: a slot bundle, encrypted by
// XTS-AES for the slot that it writes to, with a signature of secure boot 2. One that is for
// the ESP32 it does not take.
func TestVirtualC3Updates(t *testing.T) {
	w := newWorkplace(t)
	d, mac := w.fieldC3()
	bundle, digest := nextC3(t)
	d.trusts(digest)
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

// A C3 with the fleet's key for updates in its fuses takes a release that was encrypted for it: nothing
// in its flash opens that, only HMACs of its chip with the key in that block.
func TestVirtualC3TakesECIES(t *testing.T) {
	w := newWorkplace(t)
	w.run(0, "key", "new", "--label", "fleet-ota", "--operator", "eve")
	w.run(0, "hsm", "init", "--policy", "none", "--role", "manifest", "--operator", "eve")
	d, mac := w.fieldC3(`policy = "shared"`, `policy = "derived"`, `label = "fleet"`, `label = "station-master"`, "[boot]\n", "[ota]\nkey_id = 3\nlabel = \"fleet-ota\"\n\n[boot]\n")
	app, digest := nextC3App(t)
	d.trusts(digest)
	w.write("next.bin", string(app))
	w.run(0, "key", "public", "station-manifest", "--out", "author.pem")
	author, _ := pem.Decode(w.read("author.pem"))
	if err := errors.Join(os.WriteFile(filepath.Join(d.keys, "author.der"), author.Bytes, 0o600), os.Remove(filepath.Join(d.keys, "image.der")), os.Remove(filepath.Join(d.keys, "bundle.der"))); err != nil {
		t.Fatal(err)
	}
	w.run(0, "release", "add", "next.bin", "--product", "station-example", "--job", "field/job.toml",
		"--manifest-key", copyPEM(t, "../../fixtures/fota/manifest-encryption-private.pem", w.dir), "--operator", "anna")
	w.run(0, "rollout", "start", "1", "--percent", "100", "--operator", "anna")
	server := w.serveUpdates(d, mac, "--store", "releases")
	server.id = 1
	if got := d.boots(); got != "1.0.0 at 0x10000" {
		t.Fatalf("sealed, it boots %s", got)
	}
	reach := d.server
	for _, key := range [][]string{nil, {"--hmac-key", "2"}} { // no peripheral, and a block that is empty
		d.server = append(reach[:len(reach):len(reach)], key...)
		d.does("update", "the configuration lacks a port, a key or a name, or a key cannot be read")
	}
	d.server = append(reach, "--hmac-key", "3")
	d.does("update", "1.1.0")
	d.does("confirm", "done")
	d.staysUpdated("1.1.0 at 0x20000")
	server.proves(w, mac, "1 success")
}
