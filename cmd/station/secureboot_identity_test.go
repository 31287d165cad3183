package main

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Secure boot and an identity in one job, as a user goes: version 1 on a chip of
// revision 1, version 2 on one of revision 3. Each is sealed, shown, serviced, and
// found by the key that it trusts.
func TestSecureBootAndIdentityByHand(t *testing.T) {
	w := newWorkplace(t)
	w.ownRoot()
	macs := map[int]string{1: "24:0a:c4:01:02:31", 2: "24:0a:c4:01:02:32"}
	var last sealed
	secrets := map[string][]byte{}
	for version := 1; version <= 2; version++ {
		dir := fmt.Sprintf("v%d", version)
		job, mac := filepath.Join(dir, "job.toml"), macs[version]
		sim := []string{"--revision", "1", "--job", job}
		tables := fmt.Sprintf("[secure_boot]\nversion = %d\nkeys = [\"key.pub.pem\"]\n\n%s[boot]\n", version, identityTables)
		if version == 1 {
			w.product(dir, "[boot]\n", tables, "[key]", "[[image]]\nfile = \"table.bin\"\naddress = 0x8000\n\n[key]")
			w.signedFiles(dir, "v1.pem", "bootloader.v1.bin", "app.v1.bin")
		} else {
			w.product(dir, "[boot]\n", tables, `size = "1MB"`, `size = "4MB"`, `revision = "1"`, `revision = "2"`)
			w.signedFiles(dir, "v2a.pem", "bootloader.v2a.bin", "app.v2a.bin")
			sim = []string{"--revision", "3", "--flash-size", "4MB", "--job", job}
		}
		w.partitionForIdentity(dir)
		if version == 1 {
			w.signedTable(dir)
		}
		last = w.sealOne(job, mac, sim...)
		for name, secret := range w.secretsOf(last) {
			secrets[fmt.Sprintf("%s, version %d", name, version)] = secret
		}
		shown, _ := w.run(0, "identity", "show", mac)
		if !strings.Contains(shown, "CN=Line 1 CA") {
			t.Errorf("identity show:\n%s", shown)
		}
		w.run(0, "key", "recover", mac, "--operator", "eve", "--reason", "RMA", "--job", job, "--out", dir+"-serviced")
		w.checkImages(dir+"-serviced", last)
		if found, _ := filepath.Glob(filepath.Join(w.dir, dir+"-serviced", "*-bootloader-digest.bin")); len(found) != 2-version {
			t.Errorf("version %d: digests %q", version, found)
		}
	}
	w.findsOddApp(macs[1])
	w.findsInOldLedger()
	digest, err := os.ReadFile("../../fixtures/secureboot/v2a.digest")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{hex.EncodeToString(digest), "sha256:" + hex.EncodeToString(digest), strings.ToUpper(hex.EncodeToString(digest)), "public:secure-boot:" + strings.ToUpper(hex.EncodeToString(digest))} {
		if out, _ := w.run(0, "affected", "--key", key); strings.Count(out, "\n") != 2 || !strings.Contains(out, macs[2]) {
			t.Errorf("the devices that trust %s:\n%s", key, out)
		}
	}
	if _, said := w.run(exitUsage, "affected", "--key", strings.Repeat("0", 64)); !strings.Contains(said, "secure-boot") {
		t.Errorf("a key that there is none of: %s", said)
	}
	w.run(0, "ledger", "verify")
	w.searchFor(last.keyInFuses, secrets)
}
