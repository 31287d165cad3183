package secureboot

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/keyfile"
	"station/internal/secret"
)

// vector is a file that espsecure made, or was given.
func vector(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../fixtures/secureboot", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// vectorPrivate is a throw-away key of the vectors.
func vectorPrivate(t testing.TB, name string) crypto.Signer {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key.pem") // key files must be private
	if err := os.WriteFile(path, vector(t, name), 0o600); err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.ReadPrivate(path)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestEspsecureV1(t *testing.T) {
	key := vectorPrivate(t, "v1.pem")
	want := vector(t, "app.v1.bin")
	file, err := Sign(vector(t, "app.bin"), key)
	if err != nil || !bytes.Equal(file, want) {
		t.Errorf("got %v, want espsecure's bytes: it signs with the nonce of RFC 6979 too", err)
	}
	if _, err := Verify(want, key.Public()); err != nil {
		t.Error(err)
	}
}

func TestEspsecureV2(t *testing.T) {
	a, b, e256, e384 := vectorPrivate(t, "v2a.pem"), vectorPrivate(t, "v2b.pem"), vectorPrivate(t, "v2e256.pem"), vectorPrivate(t, "v2e384.pem")
	digest := func(name string) [32]byte { return [32]byte(vector(t, name)) }
	ab := [][32]byte{digest("v2a.digest"), digest("v2b.digest")}
	for _, v := range []struct {
		name string
		chip *chip.Family
		key  crypto.PublicKey
		want [][32]byte
		bad  string
	}{
		{"app.v2a.bin", chip.ESP32, a.Public(), ab[:1], ""},
		{"bootloader.v2a.bin", chip.ESP32, a.Public(), ab[:1], ""},
		{"app.v2ab.bin", chip.ESP32, a.Public(), ab, ""},
		{"app.v2ab.bin", chip.ESP32, nil, ab, ""},
		{"app.v2ab.bin", chip.ESP32C3, b.Public(), ab, ""},
		{"app.v2ab.bin", chip.ESP32, b.Public(), ab, "signed with the wanted key in block 2, and the ESP32 reads the first block alone"},
		{"app.v2e256.bin", chip.ESP32C6, nil, [][32]byte{digest("v2e256.digest")}, ""},
		{"app.v2e256.bin", chip.ESP32P4, e256.Public(), [][32]byte{digest("v2e256.digest")}, ""},
		{"app.v2e256.bin", chip.ESP32C5, e384.Public(), [][32]byte{digest("v2e256.digest")}, "signed with another key"},
		{"app.v2e384.bin", chip.ESP32C5, nil, [][32]byte{digest("v2e384.digest")}, ""},
		{"app.v2e384.bin", chip.ESP32C5, e384.Public(), [][32]byte{digest("v2e384.digest")}, ""},
		{"app.v2e256.bin", chip.ESP32, nil, nil, "has an ECDSA P-256 key, which the ESP32 does not take: sign with RSA-3072"},
		{"app.v2e256.bin", chip.ESP32C3, nil, nil, "has an ECDSA P-256 key, which the ESP32-C3 does not take: sign with RSA-3072"},
		{"app.v2e384.bin", chip.ESP32C6, nil, nil, "has an ECDSA P-384 key, which the ESP32-C6 does not take: sign with RSA-3072 or ECDSA P-256"},
		{"app.v2a.bin", chip.ESP32C61, nil, nil, "has an RSA-3072 key, which the ESP32-C61 does not take: sign with ECDSA P-256"},
		{"app.v2a.bin", chip.ESP32C61, a.Public(), nil, "the ESP32-C61 takes no RSA-3072 key; it takes ECDSA P-256 (version 2)"},
	} {
		s, err := VerifyFor(v.chip, vector(t, v.name), v.key)
		if v.bad == "" && err != nil || v.bad != "" && (err == nil || !strings.Contains(err.Error(), v.bad)) {
			t.Errorf("%s: got %v, want %q", v.name, err, v.bad)
		}
		if s == nil != (v.want == nil) || s != nil && !slices.Equal(s.KeyDigests, v.want) {
			t.Errorf("%s: got %+v, want keys %x", v.name, s, v.want)
		}
	}
	for name, key := range map[string]crypto.Signer{"v2a.digest": a, "v2e256.digest": e256, "v2e384.digest": e384} {
		if got, err := KeyDigest(key.Public()); err != nil || got != digest(name) {
			t.Errorf("%s: got %x, %v", name, got, err)
		}
	}
}

// What is signed with an EC key is as espsecure has it, but for the signature itself.
func TestEspsecureEC(t *testing.T) {
	for _, v := range []struct {
		name, key string
		chip      *chip.Family
		sig, end  int
	}{
		{"app.v2e256.bin", "v2e256.pem", chip.ESP32C6, 101, 165},
		{"app.v2e384.bin", "v2e384.pem", chip.ESP32C5, 149, 245},
	} {
		got, err := SignFor(v.chip, vector(t, "app.bin"), vectorPrivate(t, v.key))
		if err != nil {
			t.Fatal(err)
		}
		want := vector(t, v.name)
		for _, file := range [][]byte{got, want} {
			sector := file[len(file)-4096:]
			clear(sector[v.sig:v.end])
			clear(sector[1196:1200])
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s: not as espsecure made it", v.name)
		}
	}
}

// Two keys sign at once, or one after the other: all but the signatures
// themselves, which are salted, is as espsecure has it.
func TestTwoSignatures(t *testing.T) {
	a, b := vectorPrivate(t, "v2a.pem"), vectorPrivate(t, "v2b.pem")
	both, err := Sign(vector(t, "app.bin"), a, b)
	if err != nil {
		t.Fatal(err)
	}
	one, err := Sign(vector(t, "app.bin"), a)
	if err != nil {
		t.Fatal(err)
	}
	added, err := Append(one, b)
	if err != nil {
		t.Fatal(err)
	}
	want := unsalted(vector(t, "app.v2ab.bin"))
	for name, file := range map[string][]byte{"at once": both, "one after the other": added} {
		if !bytes.Equal(unsalted(file), want) {
			t.Errorf("%s: not as espsecure made it", name)
		}
		if _, err := Verify(file, a.Public()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if bytes.Equal(one, added) {
		t.Error("Append changed the file that it was given")
	}
	for name, do := range map[string]func() ([]byte, error){
		"this key has signed the file already":   func() ([]byte, error) { return Append(added, b) },
		"the same key twice":                     func() ([]byte, error) { return Sign(vector(t, "app.bin"), a, a) },
		"version 1 has one signature: give":      func() ([]byte, error) { return Sign(vector(t, "app.bin"), ecKey(t), vectorPrivate(t, "v1.pem")) },
		"version 1 has one signature; only":      func() ([]byte, error) { return Append(one, ecKey(t)) },
		"keys of two kinds, RSA-3072 and ECDSA":  func() ([]byte, error) { return SignFor(chip.ESP32C6, vector(t, "app.bin"), a, ecKey(t)) },
		"nothing is added to a signature that":   func() ([]byte, error) { return Append(vector(t, "app.bin"), b) },
		"0 keys, want 1 to 3":                    func() ([]byte, error) { return Sign(vector(t, "app.bin")) },
		"there is no room for more":              func() ([]byte, error) { return Append(full(t, both), vectorPrivate(t, "v2a.pem")) },
		"signature block 2: the CRC of the sign": func() ([]byte, error) { f := bytes.Clone(both); f[8192+2*1216-20] ^= 1; return f, verified(f) },
		"the sector holds something behind its":  func() ([]byte, error) { f := bytes.Clone(both); f[8192+2*1216] = 0; return f, verified(f) },
	} {
		if _, err := do(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("got %v, want %q", err, name)
		}
	}
}

func verified(file []byte) error { _, err := Verify(file, nil); return err }

// full is the file with a third signature.
func full(t *testing.T, file []byte) []byte {
	t.Helper()
	file, err := Append(file, rsaKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// unsalted is a signed file without the signatures and the CRCs over them.
func unsalted(file []byte) []byte {
	file = bytes.Clone(file)
	for at := len(file) - 4096; file[at] == 0xe7; at += 1216 {
		clear(file[at+812 : at+1200])
	}
	return file
}

func TestEspsecureDigest(t *testing.T) {
	image, iv := vector(t, "bootloader.bin"), [IVSize]byte(vector(t, "iv.bin"))
	for _, v := range []struct{ key, want string }{{"sbkey32.bin", "digest32.bin"}, {"sbkey24.bin", "digest24.bin"}} {
		key, err := secret.New(vector(t, v.key))
		if err != nil {
			t.Fatal(err)
		}
		defer key.Destroy()
		got, err := BootloaderDigest(image, key, iv)
		if err != nil || !bytes.Equal(got, vector(t, v.want)[:192]) {
			t.Errorf("%s: got %x, %v", v.want, got, err)
		}
	}
}

// The digest covers whole blocks of 128 bytes without the SHA-256. The known
// image has 144 bytes with it, of which 112 count.
func TestDigestCovers(t *testing.T) {
	key, err := secret.New(func() (b []byte) {
		for i := range 32 {
			b = append(b, byte(i))
		}
		return b
	}())
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	var iv [IVSize]byte
	for i := range iv {
		iv[i] = byte(3 * i)
	}
	got, err := BootloaderDigest(knownImage(t), key, iv)
	want := hexBytes(t, "0075182cd8bd55fb51ded307adfda64169d16ab33658fff9942c44074041ac9fb1fcdc059c84386ba3dae7513614bb6bbe0986d8f3fc08d86f7f55a75bb23086")
	if err != nil || !bytes.Equal(got[IVSize:], want) {
		t.Errorf("got %x, %v", got, err)
	}
	if n, err := BootloaderSize(knownImage(t)); n != 128 || err != nil {
		t.Errorf("covers %d, %v, want 128", n, err)
	}
	padded := append(knownImage(t), bytes.Repeat([]byte{0xff}, 100)...)
	if again, err := BootloaderDigest(padded, key, iv); err != nil || !bytes.Equal(again, got) {
		t.Errorf("padding behind the image changes the digest: %v", err)
	}
	if one, other := NewIV(), NewIV(); one == other {
		t.Error("the same IV twice")
	}
	for want, image := range map[string][]byte{"this is an app": vector(t, "app.bin"), "no ESP image": []byte(strings.Repeat("x", 200))} {
		if _, err := BootloaderDigest(image, key, iv); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	short, err := secret.New(make([]byte, 16))
	if err != nil {
		t.Fatal(err)
	}
	defer short.Destroy()
	if _, err := BootloaderDigest(knownImage(t), short, iv); err == nil {
		t.Error("a key of 16 bytes is taken")
	}
}

func TestTables(t *testing.T) {
	table := read(t, "partition_table/partition-table.bin")
	key := ecKey(t)
	whole, err := Sign(table, key)
	if err != nil {
		t.Fatal(err)
	}
	padded := append(bytes.Clone(whole), bytes.Repeat([]byte{0xff}, 4096-len(whole))...)
	for name, file := range map[string][]byte{"as signed": whole, "a sector": padded} {
		if _, err := Verify(file, key.Public().(*ecdsa.PublicKey)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	damaged := bytes.Clone(table)
	damaged[6] ^= 1
	for _, v := range []struct {
		table []byte
		key   crypto.Signer
		want  string
	}{
		{whole, key, "signed already"},
		{bytes.TrimRight(table, "\xff"), key, "padded with FF"},
		{table, rsaKey(t), "version 2 checks no signature of it"},
		{damaged, key, "the table's MD5"},
		{bytes.Repeat([]byte("encrypted bytes "), 200), key, "neither an ESP image nor a partition table"},
		{bytes.Repeat([]byte("encrypted bytes "), 200), rsaKey(t), "sign first, encrypt last"},
	} {
		if _, err := Sign(v.table, v.key); err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("got %v, want %q", err, v.want)
		}
	}
}
