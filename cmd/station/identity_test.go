package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flashcrypt"
	"station/internal/ledger"
	"station/internal/secret"
)

// withIdentity gives the small product in a folder an identity.
func (w *workplace) withIdentity(dir string) {
	w.t.Helper()
	w.product(dir, "[boot]\n", identityTables+"[boot]\n")
	w.partitionForIdentity(dir)
}

const identityTables = `[identity]
token = true
prints = "identity: {id}"

[identity.certificate]
ca = "../line-ca.pem"
subject = "CN={mac},serialNumber={id},O=Plant"

`

func (w *workplace) partitionForIdentity(dir string) {
	w.t.Helper()
	path := filepath.Join(w.dir, dir, "partitions.csv")
	if err := os.WriteFile(path, append(w.read(dir+"/partitions.csv"), "esp_secure_cert,0x3F,,0x40000,8K,encrypted\n"...), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// openssl runs the program in the workplace.
func (w *workplace) openssl(good bool, args ...string) string {
	w.t.Helper()
	cmd := exec.Command("openssl", args...)
	cmd.Dir = w.dir
	out, err := cmd.CombinedOutput()
	if (err == nil) != good {
		w.t.Errorf("openssl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// ownRoot has a root of the user's own sign the token's CA.
func (w *workplace) ownRoot() {
	w.t.Helper()
	w.run(0, "hsm", "init", "--policy", "derived", "--label", "station-identity", "--operator", "eve")
	w.run(0, "hsm", "init", "--policy", "none", "--role", "ca", "--operator", "eve")
	w.run(0, "identity", "ca", "--subject", "CN=Line 1 CA,O=Plant", "--out", "line-ca.csr")
	key := filepath.Join(w.t.TempDir(), "root.key")
	w.openssl(true, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", "root.pem", "-subj", "/CN=Root", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-days", "100")
	w.openssl(true, "x509", "-req", "-in", "line-ca.csr", "-CA", "root.pem", "-CAkey", key, "-CAcreateserial", "-copy_extensions", "copy", "-days", "90", "-out", "line-ca.pem")
}

// listed looks for a device's ID among those of each kind of identity.
func (w *workplace) listed(id string, want map[string]bool) {
	w.t.Helper()
	for kind, there := range want {
		out, _ := w.run(0, "ledger", "list", "--identity", kind)
		object, _ := w.run(0, "ledger", "list", "--identity", kind, "--json")
		if strings.Contains(out, id) != there || strings.Contains(object, `"id":"`+id+`"`) != there {
			w.t.Errorf("--identity %s lists\n%s%s", kind, out, object)
		}
		if err := fits("devices/1", object); err != nil {
			w.t.Errorf("--identity %s: %v\n%s", kind, err, object)
		}
	}
	w.run(2, "ledger", "list", "--identity", "some")
}

// proved makes the proof of a device, which tells its identity and that it was
// revoked, and has it checked.
func (w *workplace) proved(mac, id, serial string) {
	w.t.Helper()
	w.run(0, "key", "public", "--out", "signer.pem")
	w.run(0, "ledger", "checkpoint", "--out", "kept.checkpoint")
	w.run(0, "ledger", "prove", id, "--out", "device.proof")
	out, _ := w.run(0, "ledger", "check", "device.proof", "--key", "signer.pem")
	proof := string(w.read("device.proof"))
	for _, want := range []string{" identity.made ", " identity.revoked ", id, serial} {
		if !strings.Contains(out+proof, want) {
			w.t.Errorf("the proof has no %s:\n%s", want, out)
		}
	}
	bent := strings.Replace(proof, id, strings.Repeat("0", len(id)), 1)
	if err := os.WriteFile(filepath.Join(w.dir, "bent.proof"), []byte(bent), 0o600); err != nil {
		w.t.Fatal(err)
	}
	if _, why := w.run(2, "ledger", "check", "bent.proof", "--key", "signer.pem"); why == "" {
		w.t.Error("a proof of another ID passes")
	}
}

// secretsOf are the token and the private key that a sealed chip has in its flash.
func (w *workplace) secretsOf(s sealed) map[string][]byte {
	w.t.Helper()
	k, err := secret.New(bytes.Clone(s.key))
	if err != nil {
		w.t.Fatal(err)
	}
	defer k.Destroy()
	cipher, err := flashcrypt.New(k, 15)
	if err != nil {
		w.t.Fatal(err)
	}
	defer cipher.Destroy()
	b := bytes.Clone(s.flash[0x40000:0x42000])
	if err := cipher.Decrypt(b, b, 0x40000); err != nil {
		w.t.Fatal(err)
	}
	found := map[string][]byte{}
	for at := 0; binary.LittleEndian.Uint32(b[at:]) == 0xba5eba11; {
		n := int(binary.LittleEndian.Uint16(b[at+10:]))
		switch data := b[at+12 : at+12+n]; b[at+8] {
		case 2: // SEC 1: the scalar follows 30 77 02 01 01 04 20
			found["private key of the device"] = data[7:39]
		case 52:
			found["token of the device"] = data
		}
		at += 12 + (n+15)/16*16 + 4
	}
	if len(found) != 2 {
		w.t.Fatalf("the flash has %d secrets of the identity", len(found))
	}
	return found
}

// withoutToken services a device with the key alone, as out of its escrow: what
// only the token makes is left out, in words.
func (w *workplace) withoutToken(s sealed) {
	w.t.Helper()
	r := &recoverFlags{tokenFlags: &tokenFlags{options: &options{}}, job: filepath.Join(w.dir, "lamp/job.toml"), dest: output{path: filepath.Join(w.dir, "without")}}
	book, err := ledger.Open(filepath.Join(w.dir, "ledger.db"), ledger.Options{ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer book.Close()
	var said strings.Builder
	d, err1 := findKeys(book, s.mac)
	use, _, err2 := r.use(w.t.Context(), &said)
	key, err3 := secret.New(bytes.Clone(s.key))
	if err := errors.Join(err1, err2, err3); err != nil {
		w.t.Fatal(err)
	}
	defer key.Destroy()
	if err := use(d, sealedKeys{chip.FlashEncryption: key}); err != nil {
		w.t.Fatal(err)
	}
	w.checkImages("without", s)
	if args := string(w.read("without/flash_args")); strings.Contains(args, "esp_secure_cert") || !strings.Contains(said.String(), "left out esp_secure_cert at 0x40000: ") {
		w.t.Errorf("%s%s", args, said.String())
	}
}

// From the keys in the token to a revoked certificate: OpenSSL takes the chain and
// the list, and nothing of token and private key is anywhere but in the flash.
func TestIdentityByHand(t *testing.T) {
	w := newWorkplace(t)
	w.ownRoot()
	w.withIdentity("lamp")
	const mac = "24:0a:c4:01:02:07"
	s := w.sealOne("lamp/job.toml", mac, "--job", "lamp/job.toml")
	shown, _ := w.run(0, "identity", "show", mac, "--out", "device.pem")
	field := func(name string) string {
		_, after, _ := strings.Cut(shown, "\n"+name+" ")
		value, _, _ := strings.Cut(after, "\n")
		return strings.TrimSpace(value)
	}
	id, serial := field("id"), field("certificate")
	if len(id) != 32 || field("token") != "yes, of station-identity" || !strings.Contains(field("issuer"), "CN=Line 1 CA") {
		t.Fatalf("identity show:\n%s", shown)
	}
	text := w.openssl(true, "x509", "-in", "device.pem", "-noout", "-serial", "-subject")
	if !strings.Contains(text, "serial="+serial) || !strings.Contains(text, "CN = "+mac) || !strings.Contains(text, "serialNumber = "+id) {
		t.Errorf("the certificate: %s", text)
	}
	w.openssl(true, "verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", "root.pem", "-untrusted", "line-ca.pem", "device.pem")
	for _, name := range []string{mac, id, serial, strings.ToLower(serial)} {
		if again, _ := w.run(0, "identity", "show", name); again != shown {
			t.Errorf("%s shows\n%s", name, again)
		}
		w.run(0, "ledger", "show", name)
		w.run(0, "identity", "verify", name, "--ca", "line-ca.pem", "--ca", "root.pem")
	}
	w.run(0, "key", "recover", id, "--operator", "eve", "--reason", "RMA", "--job", "lamp/job.toml", "--out", "serviced")
	w.checkImages("serviced", s)
	if args := string(w.read("serviced/flash_args")); !strings.Contains(args, "0x40000 0x00040000-esp_secure_cert.bin") {
		t.Errorf("the identity is not serviced:\n%s", args)
	}
	w.withoutToken(s)
	for verb, schema := range map[string]string{"show": "identity/1", "verify": "verified-identity/1"} {
		out, _ := w.run(0, "identity", verb, mac, "--json")
		if err := fits(schema, out); err != nil {
			t.Errorf("identity %s --json: %v\n%s", verb, err, out)
		}
	}
	_, why := w.run(2, "identity", "show", "nobody")
	if !strings.Contains(why, `no device "nobody"`) {
		t.Errorf("nobody: %s", why)
	}
	w.openssl(true, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", os.DevNull, "-out", "other.pem", "-subj", "/CN=Other")
	if out, _ := w.run(2, "identity", "verify", mac, "--ca", "other.pem"); !strings.Contains(out, "FAULT        its chain:") {
		t.Errorf("a chain to nowhere: %s", out)
	}

	w.listed(id, map[string]bool{"with": true, "without": false, "certified": true, "revoked": false})
	lists := []string{"crl", "-CAfile", "line-ca.pem", "-noout", "-text", "-in"}
	w.run(0, "identity", "crl", "--ca", "line-ca.pem", "--out", "before.crl")
	if out := w.openssl(true, append(lists, "before.crl")...); !strings.Contains(out, "verify OK") || !strings.Contains(out, "No Revoked Certificates") {
		t.Errorf("before: %s", out)
	}
	w.run(2, "identity", "revoke", id, "--operator", "eve", "--reason", " ")
	w.run(0, "identity", "revoke", id, "--operator", "eve", "--reason", "stolen")
	_, why = w.run(2, "identity", "revoke", serial, "--operator", "eve", "--reason", "stolen")
	if !strings.Contains(why, "was revoked before") {
		t.Errorf("revoked twice: %s", why)
	}
	w.run(0, "identity", "crl", "--ca", "line-ca.pem", "--out", "line.crl")
	if out := w.openssl(true, append(lists, "line.crl")...); !strings.Contains(out, "verify OK") || !strings.Contains(out, "Serial Number: "+serial) {
		t.Errorf("after: %s", out)
	}
	w.run(0, "identity", "ca", "--subject", "CN=Line 1 CA,O=Plant", "--self-signed", "--out", "renewed.pem")
	w.run(0, "identity", "crl", "--ca", "renewed.pem", "--out", "renewed.crl")
	if out := w.openssl(true, "crl", "-in", "renewed.crl", "-noout", "-text"); !strings.Contains(out, "Serial Number: "+serial) {
		t.Errorf("another certificate of the same CA: %s", out)
	}
	if _, why = w.run(2, "identity", "crl", "--ca", "other.pem", "--out", "other.crl"); strings.Contains(why, "E-HSM") || !strings.Contains(why, "other.pem: the CA's certificate is for another key than the token's") {
		t.Errorf("the list of a CA that is not the token's: %s", why)
	}
	check := []string{"verify", "-crl_check", "-CAfile", "root.pem", "-untrusted", "line-ca.pem", "-CRLfile"}
	w.openssl(true, append(check, "before.crl", "device.pem")...)
	if out := w.openssl(false, append(check, "line.crl", "device.pem")...); !strings.Contains(out, "certificate revoked") {
		t.Errorf("a revoked certificate: %s", out)
	}
	if out, _ := w.run(2, "identity", "verify", mac); !strings.Contains(out, "FAULT        it was revoked on ") {
		t.Errorf("verify: %s", out)
	}
	w.listed(id, map[string]bool{"with": true, "without": false, "certified": true, "revoked": true})
	w.proved(mac, id, serial)
	w.run(0, "ledger", "verify")
	w.searchFor(s.keyInFuses, w.secretsOf(s))
}
