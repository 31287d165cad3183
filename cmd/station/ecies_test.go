package main

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/pbkdf2"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

// The devices of a job with [ota] have the fleet's key in their fuses. A release for them
// is encrypted for the key that their chips make of it: what the device does, worked out
// here of its fuses alone, opens it. Another fleet's key is refused, and two jobs with
// other keys share no release.
func TestReleaseForAKeyInTheFuses(t *testing.T) {
	w := newWorkplace(t)
	lot := func(dir, more string) string {
		w.productFor(chip.ESP32C3, dir, "[boot]\n", more+"\n[boot]\n")
		table := filepath.Join(dir, "partitions.csv")
		w.write(table, string(w.read(table))+"ota_0,app,ota_0,0x40000,64K,\notadata,data,ota,0x50000,8K,\n")
		return filepath.Join(dir, "job.toml")
	}
	job := lot("c3", "[ota]\nkey_id = 3\nlabel = \"fleet-ota\"\n")
	w.run(0, "key", "new", "--label", "fleet-ota", "--operator", "eve")
	w.run(0, "key", "new", "--label", "other-ota", "--operator", "eve")
	s := w.sealOne(job, "24:0a:c4:01:02:03", "--chip", "esp32c3")
	fuses, err := os.ReadFile(filepath.Join(s.stateFolder, "efuse.bin"))
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := w.run(0, "ledger", "show", s.mac); !strings.Contains(out, `"purpose":"hmac-updates","blocks":["BLOCK_KEY3"],"id":"shared:fleet-ota:`) {
		t.Errorf("the ledger does not say where the key is:\n%s", out)
	}

	add := []string{"release", "add", "c3/app.bin", "--product", "station-example", "--operator", "anna", "--job", job}
	if out, _ := w.run(0, add...); !strings.Contains(out, "encrypted") {
		t.Errorf("it made no pre-encrypted form:\n%s", out)
	}
	w.run(0, "release", "export", "1", "card")
	const blocks = 112 // bytes before BLOCK_KEY0
	key := fuses[blocks+3*32:][:32]
	app, err := openByFuses(w.read("card/app.ota"), key)
	if err != nil || !bytes.Equal(app, w.read("c3/app.bin")) {
		t.Errorf("the device opens it to %d other bytes: %v", len(app), err)
	}
	if _, err := openByFuses(w.read("card/app.ota"), make([]byte, 32)); err == nil {
		t.Error("it opens with any key")
	}

	w.run(0, "key", "public", "--job", job, "--out", "fleet-public.pem")
	w.run(0, "ota", "build", "--key", "fleet-public.pem", "--out", "app.ota", "c3/app.bin")
	if again, err := openByFuses(w.read("app.ota"), key); err != nil || !bytes.Equal(again, app) {
		t.Errorf("what the public key encrypts opens to something else: %v", err)
	}
	w.run(0, append(add, "--fleet-key", "fleet-public.pem")...)

	other := lot("other", "[ota]\nkey_id = 3\nlabel = \"other-ota\"\n")
	none := lot("none", "")
	w.run(0, "key", "public", "--job", other, "--out", "other-public.pem")
	for want, args := range map[string][]string{
		"make another key of theirs (\"fleet-ota\" under [ota]); leave --fleet-key out": append(slices.Clone(add), "--fleet-key", "other-public.pem"),
		"have other keys for updates: make a release for each":                          append(slices.Clone(add), "--job", none),
		"have no key for updates; write [ota]":                                          {"key", "public", "--job", none},
		"leave the label out":                                                           {"key", "public", "fleet", "--job", job},
	} {
		if _, why := w.run(2, args...); !strings.Contains(why, want) {
			t.Errorf("%v: got %s, want %q", args, why, want)
		}
	}
	w.searchFor(key, nil)
}

// openByFuses is what a device does with an ECIES image of esp_encrypted_img and the key
// for HMACs in its fuses.
func openByFuses(file, key []byte) ([]byte, error) {
	salt, _ := hex.DecodeString("0e2160642dae76d33448e43d7720123d9f3b1eceb88e573a4e8f7fb94ff0c869")
	scalar, err1 := pbkdf2.Key(sha256.New, string(key), salt, 2048, 32)
	private, err2 := ecdh.P256().NewPrivateKey(scalar)
	server, err3 := ecdh.P256().NewPublicKey(append([]byte{4}, file[4:68]...))
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	shared, err := private.ECDH(server)
	if err != nil {
		return nil, err
	}
	image, err1 := hkdf.Key(sha256.New, shared, file[68:100], "_esp_enc_img_ecc", 32)
	block, err2 := aes.NewCipher(image)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithNonceSize(block, 16)
	if err != nil {
		return nil, err
	}
	return gcm.Open(nil, file[388:404], append(bytes.Clone(file[512:]), file[408:424]...), nil)
}
