package main

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/firmware"
	"station/internal/hsm"
	"station/internal/ledger"
)

// product puts the small product into a folder of the workplace, with a job
// for a fixture without lines, changed by pairs.
func (w *workplace) product(dir string, pairs ...string) {
	w.t.Helper()
	w.productFor(chip.ESP32, dir, pairs...)
}

// productFor is that of a chip.
func (w *workplace) productFor(f *chip.Family, dir string, pairs ...string) {
	w.t.Helper()
	at, from := filepath.Join(w.dir, dir), "../../fixtures/small"
	if f != chip.ESP32 {
		from = filepath.Join("../../fixtures/chips", f.Name)
	}
	if err := os.CopyFS(at, os.DirFS(from)); err != nil {
		w.t.Fatal(err)
	}
	path := filepath.Join(at, "job.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(pairs); i += 2 {
		if !bytes.Contains(b, []byte(pairs[i])) {
			w.t.Fatalf("the job holds no %q", pairs[i])
		}
	}
	text := strings.NewReplacer(pairs...).Replace(string(b)) + "\n[device]\nreset = \"manual\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// officer makes an offline key pair: officer.pem is its public half. The
// private one is returned, and lies outside of the workplace.
func (w *workplace) officer() (key *rsa.PrivateKey, path string) {
	w.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		w.t.Fatal(err)
	}
	public, err1 := x509.MarshalPKIXPublicKey(key.Public())
	private, err2 := x509.MarshalPKCS8PrivateKey(key)
	path = filepath.Join(w.t.TempDir(), "officer-private.pem")
	for _, err := range []error{err1, err2,
		os.WriteFile(filepath.Join(w.dir, "officer.pem"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644),
		os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600),
	} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return key, path
}

// sealed is a chip that was sealed: what is in it.
type sealed struct {
	mac         string
	flash, key  []byte // the key as in a key file
	keyInFuses  []byte
	stateFolder string
}

func (w *workplace) sealOne(job, mac string, more ...string) sealed {
	w.t.Helper()
	s := sealed{mac: mac, stateFolder: w.t.TempDir()}
	c := w.sim(append([]string{"--boot", "--state", s.stateFolder, "--mac", mac, "--flash-size", "1MB"}, more...)...)
	out, _ := w.run(0, "job", "check", job)
	_, after, _ := strings.Cut(out, "plan digest  ")
	w.seal(0, c.press, "--job", job, "--port", c.address, "--approve", strings.Fields(after)[0], "--operator", "anna", "--log", "run.jsonl")
	c.stop()
	fuses, err1 := os.ReadFile(filepath.Join(s.stateFolder, "efuse.bin"))
	flash, err2 := os.ReadFile(filepath.Join(s.stateFolder, "flash.bin"))
	if err1 != nil || err2 != nil {
		w.t.Fatal(err1, err2)
	}
	s.flash, s.keyInFuses = flash, fuses[28:60]
	if len(fuses) > 124 { // of a later chip: BLOCK_KEY0 and, of a long key, BLOCK_KEY1
		s.keyInFuses = bytes.TrimRight(fuses[112:176], "\x00")
	}
	for half := range slices.Chunk(s.keyInFuses, 32) {
		half = slices.Clone(half)
		slices.Reverse(half)
		s.key = append(s.key, half...)
	}
	return s
}

// checkImages holds recovered images against what is in the device's flash.
func (w *workplace) checkImages(dir string, s sealed) {
	w.t.Helper()
	args, err := os.ReadFile(filepath.Join(w.dir, dir, "flash_args"))
	if err != nil {
		w.t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(args)), "\n")[1:]
	if want := 4 + strings.Count(string(args), "bootloader-digest") + strings.Count(string(args), "esp_secure_cert.bin"); len(lines) != want {
		w.t.Fatalf("flash_args:\n%s", args)
	}
	for _, line := range lines {
		var at int
		var name string
		if _, err := fmt.Sscanf(line, "0x%x %s", &at, &name); err != nil {
			w.t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(w.dir, dir, name))
		if err != nil {
			w.t.Fatal(err)
		}
		if len(data) == 0 || !bytes.Equal(data, s.flash[at:][:len(data)]) {
			w.t.Errorf("%s is not what is in the flash at %#x", name, at)
		}
	}
}

// A sealed device is serviced: with the token, and when the token is lost, from
// the key's escrow. Nothing of the key is anywhere.
func TestKeyRecover(t *testing.T) {
	for _, policy := range []string{"derived", "random"} {
		t.Run(policy, func(t *testing.T) {
			w := newWorkplace(t)
			w.run(0, "hsm", "init", "--policy", "random", "--label", "station-kek", "--operator", "eve")
			officer, private := w.officer()
			label := map[string]string{"derived": "station-master", "random": "station-kek"}[policy]
			w.product("small", `policy = "derived"`, fmt.Sprintf("policy = %q\nescrow = \"../officer.pem\"", policy), `"station-master"`, fmt.Sprintf("%q", label))
			if out, _ := w.run(0, "job", "check", "small/job.toml"); !strings.Contains(out, "every key is also wrapped to ../officer.pem (sha256:") {
				t.Errorf("who approves is not told of the escrow:\n%s", out)
			}
			s := w.sealOne("small/job.toml", "24:0a:c4:01:02:03")

			args := []string{"key", "recover", s.mac, "--operator", "eve", "--reason", "RMA 4711"}
			w.run(0, append(args, "--job", "small/job.toml", "--out", "images")...)
			w.checkImages("images", s)
			w.run(2, append(args, "--job", "small/job.toml", "--out", "images")...) // never over anything
			w.run(0, append(args, "--to", "officer.pem", "--out", "wrapped")...)
			id := w.keyID(s.mac)
			blob, err := os.ReadFile(filepath.Join(w.dir, "wrapped"))
			if err != nil {
				t.Fatal(err)
			}
			key, err := hsm.OpenEscrow(officer, id, blob)
			if err != nil {
				t.Fatal(err)
			}
			defer key.Destroy()
			if !bytes.Equal(key.Reveal(), s.key) {
				t.Error("the wrapped key is not the device's")
			}

			w.loseToken()
			if _, stderr := w.run(3, append(args, "--job", "small/job.toml", "--out", "none")...); !strings.Contains(stderr, "E-HSM") {
				t.Errorf("without the token: %s", stderr)
			}
			w.run(0, append(args, "--officer", private, "--job", "small/job.toml", "--out", "again")...)
			w.checkImages("again", s)

			history, _ := w.run(0, "ledger", "show", s.mac)
			if n := strings.Count(history, `"kind":"key.recovered"`); n != 3 {
				t.Errorf("%d recoveries are recorded, want 3", n)
			}
			if !strings.Contains(history, `"operator":"eve"`) || !strings.Contains(history, "RMA 4711; to images") {
				t.Errorf("who and why is not recorded:\n%s", history)
			}
			w.run(0, "ledger", "verify")
			w.searchFor(s.keyInFuses)
		})
	}
}

// keyID is the ID of a device's key, out of an export.
func (w *workplace) keyID(mac string) string {
	w.t.Helper()
	out, _ := w.run(0, "ledger", "export", "--mac", mac, "--format", "jsonl")
	_, after, ok := strings.Cut(out, `"keyId":"`)
	id, _, _ := strings.Cut(after, `"`)
	if !ok || id == "" {
		w.t.Fatalf("no key ID in %s", out)
	}
	return id
}

// loseToken takes the token's store away for ever.
func (w *workplace) loseToken() {
	w.t.Helper()
	store := filepath.Join(w.hsm, "tokens")
	if err := os.RemoveAll(store); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Mkdir(store, 0o700); err != nil {
		w.t.Fatal(err)
	}
}

// What the token's maker calls a backup of SoftHSM is a copy of its store. A
// token that comes back from it derives the same keys.
func TestTokenComesBackFromItsBackup(t *testing.T) {
	w := newWorkplace(t)
	w.product("small")
	store := filepath.Join(w.hsm, "tokens")
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(store)); err != nil {
		t.Fatal(err)
	}
	s := w.sealOne("small/job.toml", "24:0a:c4:01:02:03")
	w.loseToken()
	args := []string{"key", "recover", s.mac, "--operator", "eve", "--reason", "token lost", "--job", "small/job.toml", "--out", "images"}
	w.run(3, args...)
	if err := os.CopyFS(store, os.DirFS(backup)); err != nil {
		t.Fatal(err)
	}
	w.run(0, args...)
	w.checkImages("images", s)

	// A new token with a new master of the same label is another one, and says so.
	w.loseToken()
	w.newToken()
	args[len(args)-1] = "others"
	if _, stderr := w.run(3, args...); !strings.Contains(stderr, "E-KEY-CHANGED") {
		t.Errorf("another master: %s", stderr)
	}
	if _, err := os.Stat(filepath.Join(w.dir, "others")); err == nil {
		t.Error("images under another key were written")
	}
	// Without escrow nobody else can help.
	_, private := w.officer()
	if _, stderr := w.run(2, append(args, "--officer", private)...); !strings.Contains(stderr, "has no escrow") {
		t.Errorf("without escrow: %s", stderr)
	}
}

// A new master for a new batch: new devices get keys of it, the old ones are
// still explained by the old one.
func TestNewMasterForANewBatch(t *testing.T) {
	w := newWorkplace(t)
	w.product("small")
	old := w.sealOne("small/job.toml", "24:0a:c4:01:02:03")
	w.run(0, "hsm", "init", "--label", "master-2027", "--operator", "eve")
	w.product("next", `"station-master"`, `"master-2027"`, `revision = "1"`, `revision = "2"`)
	fresh := w.sealOne("next/job.toml", "24:0a:c4:01:02:04")
	for s, label := range map[*sealed]string{&old: "derived:station-master:", &fresh: "derived:master-2027:"} {
		if id := w.keyID(s.mac); !strings.HasPrefix(id, label) {
			t.Errorf("%s has key %s, want %s", s.mac, id, label)
		}
		dir := "images-" + strings.ReplaceAll(s.mac, ":", "")
		w.run(0, "key", "recover", s.mac, "--operator", "eve", "--reason", "RMA", "--job", "next/job.toml", "--out", dir)
		w.checkImages(dir, *s)
	}
	w.run(0, "hsm", "status", "--job", "small/job.toml", "--job", "next/job.toml")
}

// A sealed device with secure boot version 1 gets its bootloader's digest
// again, as it is in its flash: from the token, and from the escrow of its keys.
func TestRecoverBootloaderDigest(t *testing.T) {
	w := newWorkplace(t)
	officer, private := w.officer()
	w.signedProduct("small", "", "[key]\n", "[[image]]\nfile = \"table.bin\"\naddress = 0x8000\n\n[key]\nescrow = \"../officer.pem\"\n")
	out, _ := w.run(0, "image", "verify", "--job", "small/job.toml")
	for _, want := range []string{"bootloader-digest    made for each device", "bootloader           has the key built in", "table                signed with the job's key", "app                  signed with the job's key", "sys                  not checked"} {
		if !strings.Contains(out, want) {
			t.Errorf("image verify --job lacks %q:\n%s", want, out)
		}
	}
	s := w.sealOne(filepath.Join("small", "job.toml"), fileMAC, "--revision", "1")
	args := []string{"key", "recover", fileMAC, "--operator", "eve", "--reason", "RMA"}
	w.run(0, append(args, "--job", filepath.Join("small", "job.toml"), "--out", "images")...)
	w.checkImages("images", s)
	if found, err := filepath.Glob(filepath.Join(w.dir, "images", "*-bootloader-digest.bin")); err != nil || len(found) != 1 {
		t.Errorf("the digest is in %v, %v", found, err)
	}
	w.run(exitUsage, "image", "verify", "--job", filepath.Join("small", "job.toml"), "app.bin")
	w.run(0, append(args, "--to", "officer.pem", "--out", "wrapped", "--purpose", "secure-boot-v1")...)
	if _, why := w.run(2, append(args, "--to", "officer.pem", "--out", "none", "--purpose", "hmac")...); !strings.Contains(why, "knows no key of "+fileMAC+` for --purpose "hmac"`) {
		t.Errorf("a purpose without a key: %s", why)
	}
	fuses, err := os.ReadFile(filepath.Join(s.stateFolder, "efuse.bin"))
	if err != nil {
		t.Fatal(err)
	}
	boot := slices.Clone(fuses[60:92])
	slices.Reverse(boot)
	if got := w.unwrapped("wrapped", officer, chip.SecureBootV1); !bytes.Equal(got, boot) {
		t.Error("the wrapped key is not that of BLOCK2")
	}

	// Secure boot alone: its one key is that of the digest.
	w.signedProduct("alone", "label = \"station-master\"\nescrow = \"../officer.pem\"\n", "[key]\npolicy = \"derived\"\nlabel = \"station-master\"\n", "[[image]]\nfile = \"table.bin\"\naddress = 0x8000\n",
		"revision = \"1\"", "revision = \"2\"", "mode = \"release\"", "mode = \"release\"\nflash_encryption = false")
	alone := w.sealOne(filepath.Join("alone", "job.toml"), "24:0a:c4:01:02:05", "--revision", "1")
	ofAlone := slices.Clone(args)
	ofAlone[2] = alone.mac
	w.run(0, append(ofAlone, "--job", filepath.Join("alone", "job.toml"), "--out", "alone-images")...)
	w.checkImages("alone-images", alone)
	if _, why := w.run(2, append(ofAlone, "--job", filepath.Join("small", "job.toml"), "--out", "none")...); !strings.Contains(why, "has no key for flash encryption") {
		t.Errorf("images of another kind of job: %s", why)
	}

	w.loseToken()
	w.run(0, append(args, "--officer", private, "--job", filepath.Join("small", "job.toml"), "--out", "again")...)
	w.checkImages("again", s)
	w.run(0, append(ofAlone, "--officer", private, "--job", filepath.Join("alone", "job.toml"), "--out", "alone-again")...)
	w.checkImages("alone-again", alone)
	w.run(0, "ledger", "verify")
	w.searchFor(s.keyInFuses, map[string][]byte{"key of secure boot": boot})
}

// unwrapped opens a key that was wrapped to an officer.
func (w *workplace) unwrapped(name string, officer *rsa.PrivateKey, purpose chip.Purpose) []byte {
	w.t.Helper()
	book, err := ledger.Open(filepath.Join(w.dir, "ledger.db"), ledger.Options{ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer book.Close()
	mac, err := chip.ParseMAC(fileMAC)
	if err != nil {
		w.t.Fatal(err)
	}
	d, _, err := book.Device(mac)
	if err != nil {
		w.t.Fatal(err)
	}
	key, err := hsm.OpenEscrow(officer, d.KeyFor(purpose).ID, w.read(name))
	if err != nil {
		w.t.Fatal(err)
	}
	defer key.Destroy()
	return bytes.Clone(key.Reveal())
}

// signedProduct is the small product with secure boot version 1 in a folder,
// with more in its table.
func (w *workplace) signedProduct(dir, more string, pairs ...string) {
	w.t.Helper()
	w.product(dir, append([]string{"[boot]\n", "[secure_boot]\nversion = 1\nkeys = [\"key.pub.pem\"]\n" + more + "\n[boot]\n"}, pairs...)...)
	w.signedFiles(dir, "v1.pem", "bootloader.v1.bin", "app.v1.bin")
	w.signedTable(dir)
}

// signedFiles puts a key and what it signed into the folder of a product.
func (w *workplace) signedFiles(dir, key, bootloader, app string) {
	w.t.Helper()
	for name, from := range map[string]string{filepath.Join(dir, "bootloader.bin"): bootloader, filepath.Join(dir, "app.bin"): app, key: key} {
		b, err := os.ReadFile(filepath.Join("../../fixtures/secureboot", from))
		if err == nil {
			err = os.WriteFile(filepath.Join(w.dir, name), b, 0o600)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
	w.openssl(true, "pkey", "-in", key, "-pubout", "-out", filepath.Join(dir, "key.pub.pem"))
}

// signedTable makes and signs the table of a product.
func (w *workplace) signedTable(dir string) {
	w.t.Helper()
	table, err := firmware.ParseCSV("partitions.csv", w.read(filepath.Join(dir, "partitions.csv")), firmware.TableOptions{FlashSize: 1 << 20})
	if err == nil {
		err = os.WriteFile(filepath.Join(w.dir, "table.bin"), table.Binary(), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.run(0, "image", "sign", "--key", "v1.pem", "--overwrite", "--out", filepath.Join(dir, "table.bin"), "table.bin")
}
