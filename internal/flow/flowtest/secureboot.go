package flowtest

import (
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"station/internal/firmware"
	"station/internal/keyfile"
	"station/internal/secureboot"
)

// BootFile is a file signed by espsecure, or made for its keys.
func BootFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../fixtures/secureboot", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// BootJobFile is the small product with secure boot of a version: its images as
// espsecure signed them. pairs edit its job.toml.
func BootJobFile(t testing.TB, version int, pairs ...string) string {
	t.Helper()
	const boot = "[boot]\n"
	table := map[int]string{1: "[secure_boot]\nversion = 1\nkeys = [\"key.pub.pem\"]\n\n", 2: "[secure_boot]\nversion = 2\nkeys = [\"key.pub.pem\"]\n\n"}[version]
	edits := append([]string{boot, table + boot}, pairs...)
	if version == 2 { // espsecure signed a header of 4 MB
		edits = append(edits, `size = "1MB"`, `size = "4MB"`)
	}
	path := EditCopy(t, filepath.Dir(SmallJob), edits...)
	if version == 1 { // an array of tables follows all plain keys
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		Write(t, path, append(text, "\n[[image]]\nfile = \"table.bin\"\naddress = 0x8000\n"...))
	}
	dir := filepath.Dir(path)
	names := map[int][3]string{1: {"bootloader.v1.bin", "app.v1.bin", "v1.pem"}, 2: {"bootloader.v2a.bin", "app.v2a.bin", "v2a.pem"}}[version]
	Write(t, filepath.Join(dir, "bootloader.bin"), BootFile(t, names[0]))
	Write(t, filepath.Join(dir, "app.bin"), BootFile(t, names[1]))
	key := BootKeyOf(t, names[2])
	Write(t, filepath.Join(dir, "key.pub.pem"), PublicOf(t, names[2]))
	if version == 1 {
		SignTable(t, dir, key)
	}
	return path
}

// SignTable makes the signed partition table that version 1 wants.
func SignTable(t testing.TB, dir string, key crypto.Signer) {
	t.Helper()
	csv, err := os.ReadFile(filepath.Join(dir, "partitions.csv"))
	if err != nil {
		t.Fatal(err)
	}
	table, err := firmware.ParseCSV("partitions.csv", csv, firmware.TableOptions{FlashSize: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	signed, err := secureboot.Sign(table.Binary(), key)
	if err != nil {
		t.Fatal(err)
	}
	Write(t, filepath.Join(dir, "table.bin"), signed)
}

// BootKeyOf is a throw-away key of the fixtures for secure boot.
func BootKeyOf(t testing.TB, name string) crypto.Signer {
	t.Helper()
	private := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(private, BootFile(t, name), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.ReadPrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// PublicOf is the public half of such a key, as PEM.
func PublicOf(t testing.TB, name string) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(BootKeyOf(t, name).Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}
