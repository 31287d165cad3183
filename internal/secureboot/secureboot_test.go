package secureboot

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"station/internal/chip"
)

var (
	makeRSA = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 3072) })
	makeEC  = sync.OnceValues(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })
)

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	k, err := makeRSA()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ecKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := makeEC()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// signed is an image with its signature; content that is no image, which Sign
// refuses, is signed with version 2 all the same.
func signed(t testing.TB, image []byte, key crypto.Signer) []byte {
	t.Helper()
	file, err := Sign(image, key)
	if err != nil && strings.Contains(err.Error(), "neither an ESP image nor") {
		file, err = signV2(image, chip.RSA3072, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile("../../fixtures/example/build/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// lines are the faults of an error.
func lines(err error) []string {
	if err == nil {
		return nil
	}
	return strings.Split(err.Error(), "\n")
}

// wantFaults wants these faults, by their beginnings, and no other.
func wantFaults(t *testing.T, name string, err error, want ...string) {
	t.Helper()
	got := lines(err)
	if !slices.EqualFunc(got, want, strings.HasPrefix) {
		t.Errorf("%s:\ngot  %q\nwant %q", name, got, want)
	}
}

func TestExampleImages(t *testing.T) {
	for _, path := range []string{"station-example.bin", "bootloader/bootloader.bin"} {
		file := signed(t, read(t, path), rsaKey(t))
		if _, err := Verify(file, &rsaKey(t).PublicKey); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if len(file)%sectorSize != 0 {
			t.Errorf("%s: %#x bytes, want whole sectors", path, len(file))
		}
	}
	for _, path := range []string{"station-example.bin", "ota_0.bin", "partition_table/partition-table.bin"} {
		image := read(t, path)
		file := signed(t, image, ecKey(t))
		if len(file) != len(image)+68 {
			t.Errorf("%s: %d bytes more, want 68", path, len(file)-len(image))
		}
		if _, err := Verify(file, &ecKey(t).PublicKey); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSignLeavesItsArgument(t *testing.T) {
	for _, key := range []crypto.Signer{rsaKey(t), ecKey(t)} {
		image := append(make([]byte, 0, 9000), knownImage(t)...)
		signed(t, image, key)
		if rest := image[len(image):cap(image)]; slices.Max(rest) != 0 {
			t.Errorf("%T: bytes behind the image were written to", key)
		}
	}
}

func TestNotSignable(t *testing.T) {
	image, app, loader := knownImage(t), read(t, "station-example.bin"), read(t, "bootloader/bootloader.bin")
	damaged := bytes.Clone(image)
	damaged[40] ^= 1
	for _, v := range []struct {
		name  string
		image []byte
		key   crypto.Signer
		want  string
	}{
		{"empty", nil, rsaKey(t), "the file is empty"},
		{"damaged", damaged, rsaKey(t), "the file is damaged"},
		{"cut short", image[:100], ecKey(t), "cut short"},
		{"bootloader", loader, ecKey(t), "this is a bootloader"},
		{"V2 again", signed(t, app, rsaKey(t)), rsaKey(t), "signed already"},
		{"V1 again", signed(t, app, ecKey(t)), ecKey(t), "signed already"},
		{"V2 over V1", signed(t, app, ecKey(t)), rsaKey(t), "signed already"},
		{"V1 over V2", signed(t, app, rsaKey(t)), ecKey(t), "signed already"},
		{"padded", append(bytes.Clone(image), 0xff), ecKey(t), "1 bytes follow the image, which ends at 0x90"},
		{"a sector more", append(bytes.Clone(image), make([]byte, 4096)...), rsaKey(t), "4096 bytes follow the image"},
	} {
		file, err := Sign(v.image, v.key)
		if err == nil || !strings.Contains(err.Error(), v.want) || file != nil {
			t.Errorf("%s: got %v, want %q", v.name, err, v.want)
		}
	}
}

func TestUnfitKeys(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p521, err := ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct {
		key  crypto.Signer
		want string
	}{
		{small, "an RSA key of 2048 bits: version 2 wants 3072"},
		{p384, "the ESP32 takes no ECDSA P-384 key; it takes ECDSA P-256 (version 1), RSA-3072 (version 2)"},
		{p521, "an EC key on P-521: chips take P-256, and some P-384"},
		{ed, "a key of type ed25519.PublicKey"},
	} {
		if _, err := Sign(knownImage(t), v.key); err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("sign: got %v, want %q", err, v.want)
		}
		if _, err := Verify(knownImage(t), v.key.Public()); err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("verify: got %v, want %q", err, v.want)
		}
	}
	if _, err := KeyDigest(&small.PublicKey); err == nil {
		t.Error("a digest of a key that the chip does not take")
	}
}

// broken is a token that answers something else than it should.
type broken struct {
	crypto.Signer
	answer []byte
	err    error
}

func (b broken) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) { return b.answer, b.err }

func TestBrokenSigner(t *testing.T) {
	away := errors.New("token away")
	minus := []byte{0x30, 6, 2, 1, 0xff, 2, 1, 1}
	for _, v := range []struct {
		name string
		key  crypto.Signer
		want string
	}{
		{"RSA refused", broken{rsaKey(t), nil, away}, "sign: token away"},
		{"EC refused", broken{ecKey(t), nil, away}, "sign: token away"},
		{"RSA garbage", broken{rsaKey(t), make([]byte, 384), nil}, "does not verify"},
		{"RSA short", broken{rsaKey(t), make([]byte, 10), nil}, "a signature of 10 bytes, want 384"},
		{"EC garbage", broken{ecKey(t), []byte("no ASN.1"), nil}, "no ECDSA signature"},
		{"EC negative", broken{ecKey(t), minus, nil}, "no signature on the key's curve"},
		{"EC of something else", broken{ecKey(t), []byte{0x30, 6, 2, 1, 1, 2, 1, 1}, nil}, "does not verify"},
	} {
		_, err := Sign(knownImage(t), v.key)
		if err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("%s: got %v, want %q", v.name, err, v.want)
		}
		if strings.HasSuffix(v.name, "refused") && !errors.Is(err, away) {
			t.Errorf("%s: %v hides its cause", v.name, err)
		}
	}
}

// at changes a byte of the block and redoes the CRC, so that only that is wrong.
func at(offset int, value byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[4096+offset] ^= value
		binary.LittleEndian.PutUint32(b[4096+1196:], crc32.ChecksumIEEE(b[4096:4096+1196]))
		return b
	}
}

func TestFaultsV2(t *testing.T) {
	image := bytes.Repeat([]byte("not an ESP image "), 20)
	whole := signed(t, image, rsaKey(t))
	for _, v := range []struct {
		name   string
		change func([]byte) []byte
		want   []string
	}{
		{"nothing", func(b []byte) []byte { return b }, nil},
		{"magic", at(0, 1), []string{"no version 2 signature: no block begins at 0x1000"}},
		{"version", at(1, 5), []string{"no version 2 signature"}},
		{"ECDSA", at(1, 1), []string{"the signature block has an ECDSA"}},
		{"reserved", at(2, 1), []string{"bytes 2 and 3 of the signature block are 0x0001, want 0"}},
		{"digest", at(4, 1), []string{"the image was changed", "the signature is not that of the key and the digest"}},
		{"n", at(36+100, 1), []string{"R in the", "the signature is not that"}},
		{"low n", at(36, 2), []string{"R in the", "M' in the", "the signature is not that"}},
		{"even n", at(36, 1), []string{"the modulus in the signature block has 3072 bits and ends in 0"}},
		{"short n", at(419, 0xff), []string{"the modulus in the signature block has "}},
		{"e", at(421, 1), []string{"the signature is not that"}},
		{"R", at(424, 1), []string{"R in the signature block is not 2^6144 mod n"}},
		{"M'", at(808, 1), []string{"M' in the signature block is not -1/n mod 2^32"}},
		{"signature", at(812, 1), []string{"the signature is not that of the key and the digest beside it"}},
		{"CRC", func(b []byte) []byte { b[4096+1196] ^= 1; return b }, []string{"the CRC of the signature block is"}},
		{"zeros", at(1215, 1), []string{"the last 16 bytes"}},
		{"rest of the sector", at(1216, 1), []string{"the sector holds something behind"}},
		{"second block", func(b []byte) []byte { b[4096+1216], b[4096+1217] = 0xe7, 2; return b }, []string{"signature block 2: bytes 2 and 3", "signature block 2: the CRC", "signature block 2: the last 16 bytes", "signature block 2: it is over ffff", "signature block 2: R in the", "signature block 2: M' in", "signature block 2: the signature is not"}},
		{"contents", func(b []byte) []byte { b[7] ^= 1; return b }, []string{"the image was changed after it was signed"}},
		{"padding", func(b []byte) []byte { b[4095] = 0; return b }, []string{"the image was changed after it was signed"}},
		{"several", func(b []byte) []byte { b[7] ^= 1; return at(808, 1)(at(1200, 1)(b)) },
			[]string{"the image was changed", "the last 16 bytes", "M' in the signature block"}},
		{"odd place", func(b []byte) []byte { return b[1:] }, []string{"the signature begins at 0xfff", "the image was changed"}},
		{"sector only", func(b []byte) []byte { return b[4096:] }, []string{"the image was changed after"}},
		{"cut short", func(b []byte) []byte { return b[:5000] }, []string{"no version 2 signature: no block begins at 0x388"}},
		{"empty", func([]byte) []byte { return nil }, []string{"no version 2 signature: no block begins at 0x0"}},
	} {
		_, err := Verify(v.change(bytes.Clone(whole)), nil)
		wantFaults(t, v.name, err, v.want...)
	}
}

// What can be wrong with a block that has an EC key.
func TestFaultsEC(t *testing.T) {
	whole := vector(t, "app.v2e256.bin")
	change := func(offset int, value byte) func([]byte) []byte {
		return func(b []byte) []byte {
			sector := b[len(b)-4096:]
			sector[offset] ^= value
			binary.LittleEndian.PutUint32(sector[1196:], crc32.ChecksumIEEE(sector[:1196]))
			return b
		}
	}
	for _, v := range []struct {
		name   string
		change func([]byte) []byte
		want   []string
	}{
		{"nothing", func(b []byte) []byte { return b }, nil},
		{"P-192", change(36, 3), []string{"the signature block has an ECDSA P-192 key, which the ESP32-H2 does not take: sign with RSA-3072 or ECDSA P-256"}},
		{"another curve", change(36, 5), []string{"the signature block has an ECDSA key, which"}},
		{"variant", change(2, 2), []string{"the signature block has an ECDSA key, which"}},
		{"reserved", change(3, 1), []string{"bytes 2 and 3 of the signature block are 0x0100, want 0"}},
		{"digest", change(4, 1), []string{"the image was changed", "the signature is not that of the key"}},
		{"X", change(37, 1), []string{"the key in the signature block is no point of P-256"}},
		{"r", change(101, 1), []string{"the signature is not that of the key"}},
		{"s", change(164, 1), []string{"the signature is not that of the key"}},
		{"behind the signature", change(165, 1), []string{"the bytes between signature and CRC are not zero"}},
		{"before the CRC", change(1195, 1), []string{"the bytes between signature and CRC are not zero"}},
		{"CRC", func(b []byte) []byte { b[len(b)-4096+1197] ^= 1; return b }, []string{"the CRC of the signature block is"}},
		{"end", change(1215, 1), []string{"the last 16 bytes"}},
		{"a second block with RSA", func(b []byte) []byte {
			rsa := vector(t, "app.v2a.bin")
			copy(b[len(b)-4096+1216:], rsa[len(rsa)-4096:][:1216])
			return b
		}, []string{"signature block 2: the block has version 2, want 3", "signature block 2: the key is on curve 141, want 2", "signature block 2: the key in the"}},
	} {
		_, err := VerifyFor(chip.ESP32H2, v.change(bytes.Clone(whole)), nil)
		wantFaults(t, v.name, err, v.want...)
	}
}

// Behind an ESP image the signature is looked for where the chip does.
func TestPlaceV2(t *testing.T) {
	whole, pub := signed(t, knownImage(t), rsaKey(t)), &rsaKey(t).PublicKey
	for _, v := range []struct {
		name string
		file []byte
		want []string
	}{
		{"erased flash behind", append(bytes.Clone(whole), 0xff, 0xff), nil},
		{"something behind", append(bytes.Clone(whole), 0xfe), []string{"1 bytes follow the signature"}},
		{"a sector too far", slices.Insert(bytes.Clone(whole), 200, make([]byte, 4096)...), []string{"no version 2 signature: no block begins at 0x1000"}},
		{"cut short", whole[:6000], []string{"cut short: the signature's sector has 1904 bytes, want 4096"}},
		{"damaged image", slices.Replace(bytes.Clone(whole), 50, 51, 7), []string{"the checksum is 0xef", "the SHA-256 is", "the image was changed"}},
		{"unsigned", knownImage(t), []string{"no version 2 signature: no block begins at 0x1000"}},
		{"V1", signed(t, knownImage(t), ecKey(t)), []string{"no version 2 signature"}},
	} {
		s, err := Verify(v.file, pub)
		wantFaults(t, v.name, err, v.want...)
		if (s == nil) != (len(v.want) > 0 && strings.HasPrefix(v.want[0], "no version 2")) {
			t.Errorf("%s: got %+v", v.name, s)
		}
	}
	if _, err := Verify(signed(t, knownImage(t), ecKey(t)), nil); !errors.Is(err, ErrKeyNeeded) {
		t.Errorf("V1 without a key: got %v", err)
	}
}

func TestAnotherKey(t *testing.T) {
	other, err := rsa.GenerateKey(rand.Reader, 3072)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Verify(signed(t, knownImage(t), rsaKey(t)), &other.PublicKey)
	wantFaults(t, "V2", err, "signed with another key: its digest is ")
	another, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Verify(signed(t, knownImage(t), ecKey(t)), &another.PublicKey)
	wantFaults(t, "V1", err, "the signature is not this key's over this image")
}

func TestFaultsV1(t *testing.T) {
	whole, pub := signed(t, knownImage(t), ecKey(t)), &ecKey(t).PublicKey
	change := func(at int) []byte { b := bytes.Clone(whole); b[at] ^= 1; return b }
	const wrong = "the signature is not this key's over this image"
	for _, v := range []struct {
		name string
		file []byte
		want []string
	}{
		{"nothing", whole, nil},
		{"erased flash behind", append(bytes.Clone(whole), 0xff), nil},
		{"something behind", append(bytes.Clone(whole), 1, 2), []string{"2 bytes follow the signature"}},
		{"version", change(144), []string{"no version 1 signature: its version field at 0x90 is 0x1, want 0"}},
		{"r", change(148), []string{wrong}},
		{"s", change(211), []string{wrong}},
		{"image", change(50), []string{"the checksum is", "the SHA-256 is", wrong}},
		{"unsigned", whole[:144], []string{"no version 1 signature: the file ends where it should begin, at 0x90"}},
		{"cut short", whole[:200], []string{"no version 1 signature: the file ends"}},
		{"empty", nil, []string{"no version 1 signature: the file ends where it should begin, at 0x0"}},
	} {
		_, err := Verify(v.file, pub)
		wantFaults(t, v.name, err, v.want...)
	}
}

// FuzzVerify: nothing makes it panic, and what verifies has a signature.
func FuzzVerify(f *testing.F) {
	pub := &rsaKey(f).PublicKey
	f.Add(signed(f, knownImage(f), rsaKey(f)))
	f.Add(signed(f, []byte("x"), rsaKey(f)))
	f.Add(signed(f, knownImage(f), ecKey(f)))
	f.Add([]byte{})
	f.Add(make([]byte, 4096))
	f.Add(vector(f, "app.v2e256.bin"))
	f.Add(vector(f, "app.v2e384.bin"))
	f.Fuzz(func(t *testing.T, file []byte) {
		for _, key := range []crypto.PublicKey{nil, pub, &ecKey(t).PublicKey} {
			for _, family := range []*chip.Family{chip.ESP32, chip.ESP32C5} {
				if s, err := VerifyFor(family, file, key); err == nil && (s == nil || s.Signed > len(file)) {
					t.Errorf("%s, %T: got %+v and no fault", family.Name, key, s)
				}
			}
		}
	})
}

// FuzzOneByte: no byte of a signed file may change unnoticed.
func FuzzOneByte(f *testing.F) {
	v1, v2 := signed(f, knownImage(f), ecKey(f)), signed(f, knownImage(f), rsaKey(f))
	for _, at := range []uint16{0, 1, 23, 31, 143, 144, 4096, 4100, 5311, 8191} {
		f.Add(at, byte(1))
	}
	f.Fuzz(func(t *testing.T, at uint16, flip byte) {
		for key, whole := range map[crypto.PublicKey][]byte{&ecKey(t).PublicKey: v1, &rsaKey(t).PublicKey: v2} {
			file := bytes.Clone(whole)
			file[int(at)%len(file)] ^= flip
			if _, err := Verify(file, key); (err == nil) != (flip == 0) {
				t.Errorf("%T: byte %d changed by %#x: got %v", key, int(at)%len(file), flip, err)
			}
		}
	})
}
