package sim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"hash/crc32"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
)

// espsecure is a file that espsecure made, or was given.
func espsecure(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../fixtures/secureboot/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The virtual chip and espsecure agree on the digest of a bootloader.
func TestBootDigestOfEspsecure(t *testing.T) {
	for _, n := range []string{"32", "24"} {
		want := espsecure(t, "digest"+n+".bin")
		raw := espsecure(t, "sbkey"+n+".bin")
		key := [32]byte{}
		copy(key[:], raw)
		if len(raw) == 24 {
			copy(key[24:], raw[8:16])
		}
		got := bootDigest(key, want[:128], want[4096:])
		if !bytes.Equal(got, want[128:192]) {
			t.Errorf("%s bytes: got %x, want %x", n, got, want[128:192])
		}
	}
}

// The key in a block, in the order of a key file or, of a digest, of its bytes.
func blockWords(b []byte) (w [8]uint32) {
	b = append(bytes.Clone(b), make([]byte, 32-len(b))...)
	for i := range w {
		w[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return w
}

func reversedBytes(b []byte) []byte {
	b = bytes.Clone(b)
	slices.Reverse(b)
	return b
}

func bootTable() []byte { return tableOf(row(0, 0, 0x10000, 0x100000, "factory", 0)) }

// secured are the fuses of a chip with that block and fuse.
func secured(o Options, block2 [8]uint32, fuse string) *Words {
	w := FactoryWords(o)
	copy(w[blockStart[2]:], block2[:])
	SetField(&w, fuse, 1)
	if fuse == "ABS_DONE_0" {
		SetField(&w, "RD_DIS", 2)
	}
	return &w
}

const (
	appRuns = "cpu_start: Pro cpu up."
	noApp   = "No bootable app partitions"
)

func TestSecureBoot2(t *testing.T) {
	right := blockWords(espsecure(t, "v2a.digest"))
	loader, app := espsecure(t, "bootloader.v2a.bin"), espsecure(t, "app.v2a.bin")
	change := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }
	other := espsecure(t, "app.v2ab.bin")
	copy(other[8192:], other[8192+1216:8192+2*1216]) // key B signs first
	moved := slices.Insert(bytes.Clone(app), 4688, bytes.Repeat([]byte{0xff}, 4096)...)
	for _, v := range []struct {
		name        string
		block2      [8]uint32
		loader, app []byte
		revision    int
		want        []string
		not         string
	}{
		{"good", right, loader, app, 3, []string{"secure boot v2 enabled\r\nsecure boot verification succeeded\r\nload:", "Signature verified successfully!", "secure boot v2 is already enabled", appRuns}, "fail"},
		{"two signatures", right, loader, espsecure(t, "app.v2ab.bin"), 3, []string{appRuns}, "fail"},
		{"revision 1 does not know it", [8]uint32{}, espsecure(t, "bootloader.bin"), espsecure(t, "app.bin"), 1, []string{appRuns}, "secure"},
		{"digest reversed", blockWords(reversedBytes(espsecure(t, "v2a.digest"))), loader, app, 3, []string{"Sig block 0 signed with untrusted key\r\nsecure boot verification failed\r\nets_main.c", "RTCWDT_RTC_RESET"}, "entry"},
		{"loader unsigned", right, espsecure(t, "bootloader.bin"), app, 3, []string{"No signature block magic byte found at signature sector (found 0xff not 0xe7)", "secure boot verification failed"}, "entry"},
		{"loader's padding", right, change(loader, 300), app, 3, []string{"Sig block 0 invalid: Image digest does not match"}, "entry"},
		{"loader's block", right, change(loader, 4096+500), app, 3, []string{"Sig block 0 invalid: CRC"}, "entry"},
		{"loader cut", right, loader[:4096+100], app, 3, []string{"Sig block 0 invalid: CRC"}, "entry"},
		{"app unsigned", right, loader, espsecure(t, "app.bin"), 3, []string{"secure boot verification succeeded", "secure_boot_v2: Secure Boot V2 verification failed.", "esp_image: Secure boot signature verification failed", "image valid, signature bad", noApp}, appRuns},
		{"app of another key", right, loader, other, 3, []string{"Secure Boot V2 verification failed", noApp}, appRuns},
		{"app of version 1", right, loader, espsecure(t, "app.v1.bin"), 3, []string{"Secure Boot V2 verification failed", noApp}, appRuns},
		{"app of an EC key", right, loader, espsecure(t, "app.v2e256.bin"), 3, []string{"Secure Boot V2 verification failed", noApp}, appRuns},
		{"app's signature moved", right, loader, moved, 3, []string{"Secure Boot V2 verification failed", noApp}, appRuns},
		{"app's signature", right, loader, resum(change(app, 8192+900)), 3, []string{"Secure Boot V2 verification failed", noApp}, appRuns},
		{"app's R", right, loader, resum(change(app, 8192+430)), 3, []string{"Secure Boot V2 verification failed", noApp}, appRuns},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Revision: v.revision}
			o.Words = secured(o, v.block2, "ABS_DONE_1")
			o.Flash = lay(2<<20, map[uint32][]byte{0x1000: v.loader, 0x8000: bootTable(), 0x10000: v.app})
			wantConsole(t, bootText(t, newChip(t, o)), v.want, v.not)
		})
	}
}

// resum makes the CRC of a changed block right again.
func resum(file []byte) []byte {
	block := file[8192:]
	binary.LittleEndian.PutUint32(block[1196:], crc32.ChecksumIEEE(block[:1196]))
	return file
}

func wantConsole(t *testing.T, got string, want []string, not string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("the console lacks %q:\n%s", w, got)
		}
	}
	if strings.Contains(got, not) {
		t.Errorf("the console has %q:\n%s", not, got)
	}
}

// keyedLoader is a bootloader with the public key of v1.pem in it.
func keyedLoader(t testing.TB) []byte {
	t.Helper()
	block, _ := pem.Decode(espsecure(t, "v1.pem"))
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return loaderWith(t, &key.PublicKey)
}

func loaderWith(t testing.TB, key *ecdsa.PublicKey) []byte {
	t.Helper()
	point, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return testImage(0x40080650, 2, 0x20, true, part{0x3fff0030, filled(0x400, append(filled(0x40, nil), point[1:]...))})
}

func TestSecureBoot1(t *testing.T) {
	sealed := espsecure(t, "digest32.bin") // IV, digest, FF, the bootloader
	key := blockWords(reversedBytes(espsecure(t, "sbkey32.bin")))
	loader := keyedLoader(t)
	covered := append(bytes.Clone(loader), bytes.Repeat([]byte{0xff}, 128)...)
	covered = covered[:(len(loader)-sha256.Size+127)/128*128]
	digest := append(bytes.Clone(sealed[:128]), bootDigest([32]byte(espsecure(t, "sbkey32.bin")), sealed[:128], covered)...)
	at0 := func(digest, loader []byte) []byte {
		b := append(bytes.Clone(digest), bytes.Repeat([]byte{0xff}, 4096-len(digest))...)
		return append(b, loader...)
	}
	change := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }
	app := espsecure(t, "app.v1.bin")
	for _, v := range []struct {
		name     string
		flash    []byte // from address 0 on
		app      []byte
		block2   [8]uint32
		revision int
		want     []string
		not      string
	}{
		{"espsecure's digest", sealed, app, key, 1, []string{"entry", appRuns}, "fail"},
		{"a key built in", at0(digest, loader), app, key, 1, []string{"entry", "Verifying image signature...", "bootloader secure boot is already enabled", appRuns}, "fail"},
		{"padding to whole blocks", append(at0(digest, loader), 0xff, 0xff), app, key, 1, []string{appRuns}, "fail"},
		{"revision 3 knows it too", at0(digest, loader), app, key, 3, []string{appRuns}, "fail"},
		{"digest wrong", change(at0(digest, loader), 130), app, key, 1, []string{"load:0x3fff0030", "secure boot check fail\r\nets_main.c 371", "RTCWDT_RTC_RESET"}, "entry"},
		{"digest wrong, revision 3", change(at0(digest, loader), 130), app, key, 3, []string{"Secure boot check fail"}, "entry"},
		{"IV wrong", change(at0(digest, loader), 3), app, key, 1, []string{"secure boot check fail"}, "entry"},
		{"no digest", at0(nil, loader), app, key, 1, []string{"secure boot check fail"}, "entry"},
		{"padding not FF", append(at0(digest, loader), 0), app, key, 1, []string{"secure boot check fail"}, "entry"},
		{"another bootloader", at0(digest, espsecure(t, "bootloader.bin")), app, key, 1, []string{"secure boot check fail"}, "entry"},
		{"key not reversed", at0(digest, loader), app, blockWords(espsecure(t, "sbkey32.bin")), 1, []string{"secure boot check fail"}, "entry"},
		{"no key", at0(digest, loader), app, [8]uint32{}, 1, []string{"secure boot check fail"}, "entry"},
		{"app unsigned", at0(digest, loader), espsecure(t, "app.bin"), key, 1, []string{"secure_boot_v1: image has invalid signature version field 0xffffffff", "esp_image: Secure boot signature verification failed", noApp}, appRuns},
		{"app's r", at0(digest, loader), change(app, len(app)-60), key, 1, []string{"Secure boot signature verification failed", noApp}, appRuns},
		{"app of version 2", at0(digest, loader), espsecure(t, "app.v2a.bin"), key, 1, []string{"invalid signature version field", noApp}, appRuns},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			o := Options{Revision: v.revision}
			o.Words = secured(o, v.block2, "ABS_DONE_0")
			o.Flash = lay(2<<20, map[uint32][]byte{0: v.flash, 0x8000: bootTable(), 0x10000: v.app})
			wantConsole(t, bootText(t, newChip(t, o)), v.want, v.not)
		})
	}
}

// signedBy is an image with a signature block of each key, made here by the
// format's description.
func signedBy(t testing.TB, image []byte, keys ...*rsa.PrivateKey) []byte {
	t.Helper()
	for len(image)%4096 != 0 {
		image = append(image, 0xff)
	}
	digest := sha256.Sum256(image)
	number := func(n *big.Int) []byte { return reversedBytes(n.FillBytes(make([]byte, 384))) }
	for _, key := range keys {
		r := new(big.Int).Lsh(big.NewInt(1), 6144)
		word := new(big.Int).Lsh(big.NewInt(1), 32)
		m := new(big.Int).Sub(word, new(big.Int).ModInverse(key.N, word))
		sig, err := rsa.SignPSS(rand.Reader, key, crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: 32})
		if err != nil {
			t.Fatal(err)
		}
		b := append([]byte{0xe7, 2, 0, 0}, digest[:]...)
		b = binary.LittleEndian.AppendUint32(append(b, number(key.N)...), uint32(key.E))
		b = binary.LittleEndian.AppendUint32(append(b, number(r.Mod(r, key.N))...), uint32(m.Uint64()))
		b = append(b, reversedBytes(sig)...)
		b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
		image = append(append(image, b...), make([]byte, 16)...)
	}
	for len(image)%4096 != 0 {
		image = append(image, 0xff)
	}
	return image
}

func rsaKey(t testing.TB, name string) *rsa.PrivateKey {
	t.Helper()
	block, _ := pem.Decode(espsecure(t, name))
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if old, oldErr := x509.ParsePKCS1PrivateKey(block.Bytes); oldErr == nil {
		return old
	}
	if err != nil {
		t.Fatal(err)
	}
	return key.(*rsa.PrivateKey)
}

// The later chips trust up to three keys, by purposes and in any blocks, and look
// at up to three signatures; a key that is revoked counts no more.
func TestSecureBootOfTheC3(t *testing.T) {
	a, b := rsaKey(t, "v2a.pem"), rsaKey(t, "v2b.pem")
	images := recordedC3Images()
	sign := func(keys ...*rsa.PrivateKey) map[uint32][]byte {
		return map[uint32][]byte{0: signedBy(t, images[0], keys...), 0x8000: images[0x8000], 0x10000: signedBy(t, images[0x10000], keys...)}
	}
	byA, byB, both, none := sign(a), sign(b), sign(b, a), sign()
	type blocks map[int]uint32 // purpose by number of the block, which holds the digest of A, or of B from 3 on
	const bad = "secure boot verification failed"
	for _, v := range []struct {
		name   string
		images map[uint32][]byte
		blocks blocks
		revoke []int
		boots  bool
	}{
		{"one", byA, blocks{1: 9}, nil, true},
		{"the second digest", byB, blocks{1: 9, 5: 10}, nil, true},
		{"the third alone", byA, blocks{0: 11}, nil, true},
		{"two signatures, the second is trusted", both, blocks{2: 9}, nil, true},
		{"revoked", byA, blocks{1: 9, 5: 10}, []int{0}, false},
		{"another is revoked", byB, blocks{1: 9, 5: 10}, []int{0, 2}, true},
		{"another key", byB, blocks{1: 9}, nil, false},
		{"unsigned", none, blocks{1: 9}, nil, false},
		{"a key for flash encryption is no digest", byA, blocks{1: 4}, nil, false},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := FactoryWords(Options{Chip: chip.ESP32C3})
			start, _ := wordsOf(chip.ESP32C3)
			for n, purpose := range v.blocks {
				digest := blockWords(espsecure(t, map[bool]string{false: "v2a.digest", true: "v2b.digest"}[n >= 3]))
				copy(w[start[4+n]:], digest[:])
				SetFieldOf(chip.ESP32C3, &w, fmt.Sprint("KEY_PURPOSE_", n), purpose)
			}
			for _, n := range v.revoke {
				SetFieldOf(chip.ESP32C3, &w, fmt.Sprint("SECURE_BOOT_KEY_REVOKE", n), 1)
			}
			SetFieldOf(chip.ESP32C3, &w, "SECURE_BOOT_EN", 1)
			console := bootText(t, newChip(t, Options{Chip: chip.ESP32C3, Words: &w, Flash: lay(2<<20, v.images), FlashSize: 2 << 20}))
			if v.boots {
				wantConsole(t, console, []string{"secure boot verification succeeded", "Signature verified successfully!", "Unicore app"}, bad)
			} else {
				wantConsole(t, console, []string{bad, "RTCWDT_RTC_RST"}, "Unicore app")
			}
		})
	}
}
