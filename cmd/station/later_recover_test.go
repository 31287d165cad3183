package main

import (
	"bytes"
	"crypto/rsa"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/hsm"
)

// A sealed C3 is serviced as an ESP32 is: its ledger knows which chip it is, and so
// its key comes out of the token again and encrypts as that chip decrypts. So does one
// that takes two blocks.
func TestRecoverKeyOfALaterChip(t *testing.T) {
	w := newWorkplace(t)
	officer, _ := w.officer()
	job := filepath.Join("c3", "job.toml")
	w.productFor(chip.ESP32S3, "s3", `name = "station-example"`, `name = "lamp-s3"`, "[key]\n", "[key]\nbits = 512\n", `chip = "esp32s3"`, `chip = { name = "esp32s3", allow_tabled = true }`)
	long := w.sealOne(filepath.Join("s3", "job.toml"), "24:0a:c4:01:02:04", "--chip", "esp32s3")
	w.recovered(long, filepath.Join("s3", "job.toml"), "s3-images", "xts-aes-256", officer)

	f := chip.ESP32C3
	w.productFor(f, "c3")
	s := w.sealOne(job, "24:0a:c4:01:02:03", "--chip", f.Name)
	w.recovered(s, job, "images", "xts-aes-128", officer)
	w.product("small")
	if _, why := w.run(2, "key", "recover", s.mac, "--operator", "eve", "--reason", "RMA", "--job", filepath.Join("small", "job.toml"), "--out", "none"); !strings.Contains(why, "is an ESP32-C3") {
		t.Errorf("images for another chip: %s", why)
	}

	for name, line := range map[string]string{
		"list":          fmt.Sprintf("%s  %s  PASS", s.mac, f.Name),
		"list --json":   fmt.Sprintf("\"mac\":%q,\"chip\":%q", s.mac, f.Name),
		"export":        "," + f.Name + "\n",
		"show " + s.mac: fmt.Sprintf("\"identity\":{\"mac\":%q,\"chip\":%q", s.mac, f.Name),
	} {
		if out, _ := w.run(0, append([]string{"ledger"}, strings.Fields(name)...)...); !strings.Contains(out, line) {
			t.Errorf("ledger %s has no %q:\n%s", name, line, out)
		}
	}
	w.decryptsByHand(f, s)
	w.run(0, "ledger", "verify")
	w.searchFor(s.keyInFuses, map[string][]byte{"a long key": long.key})
}

// recovered recovers images and key of a device, and holds both against it.
func (w *workplace) recovered(s sealed, job, out, cipher string, officer *rsa.PrivateKey) {
	w.t.Helper()
	args := []string{"key", "recover", s.mac, "--operator", "eve", "--reason", "RMA 4711"}
	told, said := w.run(0, append(args, "--job", job, "--out", out)...)
	if !strings.Contains(told+said, "encrypted with "+cipher) {
		w.t.Errorf("it says %s%s", told, said)
	}
	w.checkImages(out, s)
	w.run(0, append(args, "--to", "officer.pem", "--out", out+".wrapped")...)
	key, err := hsm.OpenEscrow(officer, w.keyID(s.mac), w.read(out+".wrapped"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer key.Destroy()
	if !bytes.Equal(key.Reveal(), s.key) {
		w.t.Error("the wrapped key is not the device's")
	}
}

// decryptsByHand makes the plain app again out of the flash, with the key in the token.
func (w *workplace) decryptsByHand(f *chip.Family, s sealed) {
	w.t.Helper()
	app := w.read(filepath.Join("c3", "app.bin"))
	if err := os.WriteFile(filepath.Join(w.dir, "flash.part"), s.flash[0x30000:][:len(app)], 0o600); err != nil {
		w.t.Fatal(err)
	}
	for _, v := range []struct {
		chip string
		same bool
	}{{f.Name, true}, {chip.ESP32.Name, false}} {
		w.run(0, "image", "decrypt", "--chip", v.chip, "--key", w.masterURI(), "--mac", s.mac, "--address", "0x30000", "--out", "plain-"+v.chip, "flash.part")
		if got := bytes.Equal(w.read("plain-"+v.chip), app); got != v.same {
			w.t.Errorf("image decrypt --chip %s: the app again %t, want %t", v.chip, got, v.same)
		}
	}
	if _, why := w.run(2, "image", "decrypt", "--chip", "esp99", "--key", w.masterURI(), "--mac", s.mac, "--address", "0x30000", "--out", "none", "flash.part"); !strings.Contains(why, `--chip "esp99": want one of esp32, `) {
		w.t.Errorf("a chip that nobody knows: %s", why)
	}
}

func (w *workplace) masterURI() string {
	return fmt.Sprintf("pkcs11:token=line-1;object=station-master?module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=file:%s/pin", w.hsm)
}
