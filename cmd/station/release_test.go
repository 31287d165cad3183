package main

import (
	"bytes"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/flashcrypt"
	"station/internal/keyfile"
	"station/internal/otaimage"
	"station/internal/record"
	field "station/internal/release"
	"station/internal/secureboot"
	"station/internal/station"
	"station/internal/store"
)

// A release in one command, with a real token: signed, pre-encrypted, in a
// bundle for two lots, with a manifest, and in the ledger. Once more it is the
// same; what is older is refused; what is withdrawn is told.
func TestRelease(t *testing.T) {
	w := newWorkplace(t)
	key := bytes.Repeat([]byte{3, 5}, 16)
	if err := os.WriteFile(filepath.Join(w.dir, "fleet.bin"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	w.run(0, "key", "import", "fleet.bin", "--label", "fleet", "--operator", "eve")
	for _, role := range []string{"bundle", "manifest"} {
		w.run(0, "hsm", "init", "--policy", "none", "--role", role, "--operator", "eve")
	}
	w.run(0, "hsm", "init", "--policy", "none", "--role", "secure-boot", "--type", "rsa-3072", "--operator", "eve")
	w.run(0, "key", "public", "station-bundle", "--out", "bundle.pem")
	shared := []string{`policy = "derived"`, `policy = "shared"`, `label = "station-master"`, `label = "fleet"`}
	bare := []string{`flasher_args = "build/flasher_args.json"`, "", "[[image]]\nfile = \"build/ota_0.bin\"",
		"[[image]]\nfile = \"build/bootloader/bootloader.bin\"\naddress = 0x1000\n\n[[image]]\nfile = \"build/station-example.bin\"\npartition = \"factory\"\n\n[[image]]\nfile = \"build/ota_0.bin\""}
	lot := func(name, table string, pairs ...string) string {
		if err := os.CopyFS(filepath.Join(w.dir, name), os.DirFS("../../fixtures/example")); err != nil {
			t.Fatal(err)
		}
		for file, pairs := range map[string][]string{"job.toml": append(shared, pairs...), "partitions.csv": {"ota_0,app,ota_0,,1984K,", table}} {
			path := filepath.Join(w.dir, name, file)
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.NewReplacer(pairs...).Replace(string(data))), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return filepath.Join(name, "job.toml")
	}
	old := lot("old", "ota_0,app,ota_0,,1984K,")
	now := lot("new", "ota_0,app,ota_0,,960K,\nota_1,app,ota_1,,960K,", bare...)
	_, private := w.officer()
	manifestKey := copyPEM(t, "../../fixtures/fota/manifest-encryption-private.pem", w.dir)
	add := []string{"release", "add", "example/build/station-example.bin", "--product", "station-example", "--job", old, "--job", now,
		"--sign", "station-secure-boot", "--fleet-key", "officer.pem", "--manifest-key", manifestKey, "--operator", "anna"}
	first, _ := w.run(0, add...)
	again, _ := w.run(0, add...)
	if first != again {
		t.Errorf("once more it is another one:\n%s\n%s", first, again)
	}
	w.run(0, "release", "export", "1", "card")
	app := w.read("card/app.bin")
	if s, err := secureboot.Verify(app, nil); err != nil || s.Version != secureboot.V2 {
		t.Errorf("the app's signature: %v", err)
	}
	officer, err := keyfile.ReadPrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := otaimage.Open(w.read("card/app.ota"), officer); err != nil || !bytes.Equal(got, app) {
		t.Errorf("app.ota opens to something else: %v", err)
	}
	out, _ := w.run(0, "release", "bundle", "check", "--key", "bundle.pem", "card/slots.bundle")
	bundle := w.read("card/slots.bundle")
	b, err := field.ParseBundle(bundle)
	if err != nil || len(b.Slots) != 2 { // both lots have ota_0 at one place
		t.Fatalf("%v\n%s", err, out)
	}
	for _, s := range b.Slots {
		plain := bytes.Clone(bundle[s.Offset : s.Offset+s.Size])
		c, err := flashcrypt.New(secretOf(t, key), s.Config)
		if err == nil {
			err = c.Decrypt(plain, plain, s.Address)
		}
		if err != nil || !bytes.Equal(plain[:len(app)], app) {
			t.Errorf("%s: the flash would hold something else: %v", s.Where(), err)
		}
	}
	fleet, err := keyfile.ReadPrivate(strings.TrimSuffix(filepath.Join(w.dir, manifestKey), ".pub"))
	if err != nil {
		t.Fatal(err)
	}
	w.run(0, "key", "public", "station-manifest", "--out", "manifest-signer.pem")
	signer, err := keyfile.ReadPublic(filepath.Join(w.dir, "manifest-signer.pem"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := field.OpenManifest(w.read("card/manifest"), fleet.(*rsa.PrivateKey))
	if err != nil || m.Verify(signer.(*rsa.PublicKey)) != nil || !bytes.Equal(m.Descriptor[:], app[32:288]) {
		t.Errorf("the manifest: %v", err)
	}
	book, err := station.OpenFieldLedger(filepath.Join(w.dir, "ledger.db"), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	fields, err := book.Fields(record.ReleaseMade)
	if err != nil || len(fields) != 1 || len(fields[0].Forms) != 4 || len(fields[0].Jobs) != 2 {
		t.Errorf("the ledger has %+v, %v", fields, err)
	}
	// The document is lost, the files are there: the same comes back.
	if err := os.RemoveAll(filepath.Join(w.dir, "releases", "records", "release")); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.run(0, add...); got != first {
		t.Errorf("after a loss it is another one:\n%s\n%s", got, first)
	}
	w.completed(add, first)
	for _, missing := range [][]string{{"rollout", "start", "99", "--operator", "anna"}, {"rollout", "status", "99"}, {"release", "show", "99"}, {"release", "withdraw", "99", "--operator", "anna", "--reason", "x"}} {
		if _, said := w.run(exitUsage, missing...); !strings.Contains(said, `release 99: there is none in releases; "station release list" shows which there are`) {
			t.Errorf("%q: got %s", missing, said)
		}
	}
	if out, said := w.run(0, "rollout", "status", "1"); out != "" || !strings.Contains(said, "release 1 is not handed out") {
		t.Errorf("got %s, %s", out, said)
	}
	w.run(0, "rollout", "start", "1", "--percent", "25", "--samples", "40", "--operator", "anna")
	w.run(0, "rollout", "start", "1", "--operator", "anna") // nothing new, no entry
	w.run(exitUsage, "rollout", "start", "1", "--percent", "5", "--operator", "anna")
	w.run(0, "rollout", "pause", "1", "--operator", "anna", "--reason", "wait")
	w.run(exitUsage, "rollout", "pause", "1", "--operator", "anna", "--reason", "wait")
	if _, said := w.run(exitUsage, "rollout", "start", "1", "--percent", "25", "--operator", "anna"); !strings.Contains(said, `is paused: wait; "station rollout resume 1 --reason …" lets it go on`) {
		t.Errorf("a held one is started: %s", said)
	}
	w.run(0, "rollout", "resume", "1", "--operator", "anna", "--reason", "on")
	if out, _ := w.run(0, "rollout", "status"); !strings.Contains(out, "rollout       running at 25 %: 0 offered") {
		t.Errorf("got %s", out)
	}
	w.run(0, "release", "withdraw", "1", "--operator", "anna", "--reason", "it burns")
	w.run(exitUsage, "rollout", "start", "1", "--percent", "50", "--operator", "anna")
	if out, _ := w.run(0, "release", "list"); !strings.Contains(out, "withdrawn") {
		t.Errorf("got %s", out)
	}
	changes, err := book.Fields(record.RolloutChanged)
	if err != nil || len(changes) != 3 {
		t.Errorf("got %+v, %v", changes, err)
	}
	// A lower secure version than one before, an app without room, another product.
	newer := w.read("example/build/station-example.bin")
	w.secureVersion(newer, "newer.bin", 2)
	w.run(0, "release", "add", "newer.bin", "--product", "station-example", "--job", "example/job.toml", "--operator", "anna")
	w.secureVersion(newer, "older.bin", 1)
	if _, said := w.run(exitUsage, "release", "add", "older.bin", "--product", "station-example", "--job", "example/job.toml", "--operator", "anna"); !strings.Contains(said, "secure version is 1, that of release 2 is 2") {
		t.Errorf("got %s", said)
	}
	if _, said := w.run(exitUsage, "release", "add", "newer.bin", "--product", "kettle", "--job", "example/job.toml", "--operator", "anna"); !strings.Contains(said, "is of the product station-example") {
		t.Errorf("got %s", said)
	}
	w.secureVersion(newer, "example/build/station-example.bin", 3)
	if _, said := w.run(exitUsage, "release", "add", "newer.bin", "--product", "station-example", "--job", "example/job.toml", "--operator", "anna"); !strings.Contains(said, "secure version is 2, that of the image app of example/job.toml is 3") {
		t.Errorf("got %s", said)
	}
	w.releaseForXTS(key)
}

// completed adds a release once more that a program made that did not hold it against its jobs: it
// is the same, and tells from now on that it was.
func (w *workplace) completed(add []string, first string) {
	w.t.Helper()
	s, err := store.Open(filepath.Join(w.dir, "releases"))
	if err != nil {
		w.t.Fatal(err)
	}
	doc, revision, err := field.Load(s, "station-example", 1)
	if err != nil || doc.JobsSecureVersion == nil || *doc.JobsSecureVersion != 0 {
		w.t.Fatalf("%+v, %v", doc, err)
	}
	doc.JobsSecureVersion = nil
	if _, err := s.Set(field.Key("station-example", 1), doc.JSON(), revision); err != nil {
		w.t.Fatal(err)
	}
	if again, _ := w.run(0, add...); again != first {
		w.t.Errorf("once more it is another one:\n%s\n%s", first, again)
	}
	if doc, _, err = field.Load(s, "station-example", 1); err != nil || doc.JobsSecureVersion == nil {
		w.t.Errorf("it still does not tell what its jobs write: %+v, %v", doc, err)
	}
}

// releaseForXTS makes a release for a chip with XTS-AES: its bundle has what the
// flash of such a chip holds under that key, once for each slot; an app for another chip is refused.
func (w *workplace) releaseForXTS(key []byte) {
	w.t.Helper()
	if err := os.CopyFS(filepath.Join(w.dir, "c3"), os.DirFS("../../fixtures/chips/esp32c3")); err != nil {
		w.t.Fatal(err)
	}
	for name, pairs := range map[string][]string{
		"job.toml":       {`name = "station-example"`, `name = "lamp-c3"`, `policy = "derived"`, `policy = "shared"`, `label = "station-master"`, `label = "fleet"`, `partition = "factory"`, `partition = "ota_0"`},
		"partitions.csv": {"sys,data", "otadata,data,ota,0xd000,8K,\nsys,data", "factory,app,factory,0x30000,64K,", "ota_0,app,ota_0,0x30000,64K,\nota_1,app,ota_1,0x40000,64K,"},
	} {
		w.write("c3/"+name, strings.NewReplacer(pairs...).Replace(string(w.read("c3/"+name))))
	}
	if _, said := w.run(exitUsage, "release", "add", "newer.bin", "--product", "lamp-c3", "--job", "c3/job.toml", "--operator", "anna"); !strings.Contains(said, "is for the chip with ID 0, c3/job.toml for the ESP32-C3, which has ID 5") {
		w.t.Errorf("got %s", said)
	}
	w.run(0, "release", "add", "c3/app.bin", "--product", "lamp-c3", "--job", "c3/job.toml", "--operator", "anna", "--id", "30")
	w.run(0, "release", "export", "30", "c3-card")
	app, bundle := w.read("c3-card/app.bin"), w.read("c3-card/slots.bundle")
	b, err := field.ParseBundle(bundle)
	if err != nil || len(b.Slots) != 2 || b.Slots[0].Address != 0x30000 || b.Slots[1].Address != 0x40000 {
		w.t.Fatalf("%v: %+v", err, b)
	}
	for _, s := range b.Slots {
		plain := bytes.Clone(bundle[s.Offset : s.Offset+s.Size])
		c, err := flashcrypt.NewXTS(secretOf(w.t, key))
		if err == nil {
			err = c.Decrypt(plain, plain, s.Address)
		}
		if err != nil || s.Cipher != field.CipherXTS128 || s.Config != 0 || !bytes.Equal(plain[:len(app)], app) {
			w.t.Errorf("%s: the flash would hold something else: %v, %+v", s.Where(), err, s)
		}
	}
}

func (w *workplace) read(path string) []byte {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.dir, path))
	if err != nil {
		w.t.Fatal(err)
	}
	return b
}

// copyPEM copies a private key and writes its public half beside it, .pub.
func copyPEM(t *testing.T, from, dir string) string {
	t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "fleet-manifest.pem")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.ReadPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".pub", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	return "fleet-manifest.pem.pub"
}
