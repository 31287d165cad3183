package station

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"station/internal/firmware"
	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/secret"
	"station/internal/secureboot"
	"station/internal/sim"
)

// bootFile is a file of espsecure's, or made for its keys.
func bootFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../fixtures/secureboot", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// bootJobFile is the small product with secure boot: its images as espsecure
// signed them. pairs edit its job.toml.
func bootJobFile(t testing.TB, version int, pairs ...string) string {
	t.Helper()
	const boot = "[boot]\n"
	table := map[int]string{1: "[secure_boot]\nversion = 1\nkeys = [\"key.pub.pem\"]\n\n", 2: "[secure_boot]\nversion = 2\nkeys = [\"key.pub.pem\"]\n\n"}[version]
	edits := append([]string{boot, table + boot}, pairs...)
	if version == 2 { // espsecure signed a header of 4 MB
		edits = append(edits, `size = "1MB"`, `size = "4MB"`)
	}
	path := editCopy(t, filepath.Dir(smallJob), edits...)
	if version == 1 { // an array of tables follows all plain keys
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, append(text, "\n[[image]]\nfile = \"table.bin\"\naddress = 0x8000\n"...))
	}
	dir := filepath.Dir(path)
	names := map[int][3]string{1: {"bootloader.v1.bin", "app.v1.bin", "v1.pem"}, 2: {"bootloader.v2a.bin", "app.v2a.bin", "v2a.pem"}}[version]
	write(t, filepath.Join(dir, "bootloader.bin"), bootFile(t, names[0]))
	write(t, filepath.Join(dir, "app.bin"), bootFile(t, names[1]))
	key := bootKeyOf(t, names[2])
	write(t, filepath.Join(dir, "key.pub.pem"), publicOf(t, names[2]))
	if version == 1 {
		signTable(t, dir, key)
	}
	return path
}

// aloneJobFile is the small product with secure boot and without flash encryption.
func aloneJobFile(t testing.TB, version int, pairs ...string) string {
	t.Helper()
	path := bootJobFile(t, version, append([]string{"[key]\npolicy = \"derived\"\nlabel = \"station-master\"\n", "",
		"mode = \"release\"", "mode = \"release\"\nflash_encryption = false"}, pairs...)...)
	if version == 2 {
		return path
	}
	return editCopy(t, filepath.Dir(path), "version = 1\n", "version = 1\nlabel = \"station-master\"\n")
}

// signTable makes the signed partition table that version 1 wants.
func signTable(t testing.TB, dir string, key crypto.Signer) {
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
	write(t, filepath.Join(dir, "table.bin"), signed)
}

// bootKeyOf is a throw-away key of the vectors.
func bootKeyOf(t testing.TB, name string) crypto.Signer {
	t.Helper()
	private := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(private, bootFile(t, name), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.ReadPrivate(private)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func publicOf(t testing.TB, name string) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(bootKeyOf(t, name).Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// regionAt0 is what a device of that number has at address 0.
func regionAt0(t testing.TB, j *job.Job, number int, key byte) []byte {
	t.Helper()
	k, err := secret.New(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	defer k.Destroy()
	own, err := j.RegionsFor(job.Own{MAC: VirtualMAC(number), BootKey: k})
	if err != nil {
		t.Fatal(err)
	}
	return own.List[0].Data
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func bootJob(t testing.TB, version int, pairs ...string) *job.Job {
	t.Helper()
	j, err := job.Load(bootJobFile(t, version, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func aloneJob(t testing.TB, version int, pairs ...string) *job.Job {
	t.Helper()
	j, err := job.Load(aloneJobFile(t, version, pairs...))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

func aloneInDevelopment(t testing.TB) *job.Job {
	t.Helper()
	j, err := job.Load(editCopy(t, filepath.Dir(aloneJobFile(t, 2)), `mode = "release"`, `mode = "development"`))
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// bootWords are what BLOCK2 of the device must hold, worked out here.
func (tr *trial) bootWords() (w [8]uint32) {
	switch tr.product.job.SecureBoot.Version {
	case 1:
		return coded(tr.bootSecret())
	case 2:
		digest, err := os.ReadFile("../../fixtures/secureboot/v2a.digest")
		if err != nil {
			tr.fault("%w", err)
		}
		for i := range w {
			w[i] = binary.LittleEndian.Uint32(digest[4*i:])
		}
	}
	return w
}

// bootSecret is the device's key for the digest of its bootloader; none
// without one.
func (tr *trial) bootSecret() []byte {
	if tr.product.job.SecureBoot.Version != 1 {
		return nil
	}
	return derivedKey("station secure boot v1", tr.mac, len(tr.key()))
}

// words are the bits that a stage burns in this device.
func (tr *trial) words(s stage) (all sim.Words) {
	copy(all[:], s.block0[:])
	if s.boot {
		w := tr.bootWords()
		copy(all[15:], w[:])
	}
	return all
}
