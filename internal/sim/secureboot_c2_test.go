package sim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"math/big"
	"os"
	"testing"

	"station/internal/chip"
)

// ecKey is a key on P-256 of these tests alone, and its digest.
func ecKey(t *testing.T) (*ecdsa.PrivateKey, [32]byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key, sha256.Sum256(ecFields(t, key))
}

// ecFields is the key as a signature block has it.
func ecFields(t *testing.T, key *ecdsa.PrivateKey) []byte {
	t.Helper()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return append(append([]byte{2}, reversedBytes(point[1:33])...), reversedBytes(point[33:])...)
}

// signedByEC is an image with a signature block of each key, made here by the format's
// description.
func signedByEC(t *testing.T, image []byte, keys ...*ecdsa.PrivateKey) []byte {
	t.Helper()
	fill := func() {
		for len(image)%4096 != 0 {
			image = append(image, 0xff)
		}
	}
	fill()
	digest := sha256.Sum256(image)
	for _, key := range keys {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil {
			t.Fatal(err)
		}
		b := append(append([]byte{0xe7, 3, 0, 0}, digest[:]...), ecFields(t, key)...)
		for _, n := range []*big.Int{r, s} {
			b = append(b, reversedBytes(n.FillBytes(make([]byte, 32)))...)
		}
		b = append(b, make([]byte, 1196-len(b))...)
		b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
		image = append(append(image, b...), make([]byte, 16)...)
	}
	fill()
	return image
}

// A C2 decrypts with what it makes of the low half of its one key block, and starts only
// what the key signed whose digest begins as the high half; of several signatures it looks
// at the first alone.
func TestSecureBootOfTheC2(t *testing.T) {
	f := chip.ESP32C2
	fixture := func(name string) []byte {
		b, err := os.ReadFile("../../fixtures/chips/esp32c2/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ours, digest := ecKey(t)
	other, _ := ecKey(t)
	key := digest[16:] // any 16 bytes
	made := sha256.Sum256(key)
	sign := func(loader, app []*ecdsa.PrivateKey) map[uint32][]byte {
		return map[uint32][]byte{0: signedByEC(t, fixture("bootloader.bin"), loader...), 0x8000: bootTable(), 0x10000: signedByEC(t, fixture("app.bin"), app...)}
	}
	by := func(keys ...*ecdsa.PrivateKey) []*ecdsa.PrivateKey { return keys }
	right := sign(by(ours), by(ours))
	const ready, bad, badApp = "cpu_start", "secure boot verification failed", "Secure Boot V2 verification failed"
	for _, v := range []struct {
		name   string
		images map[uint32][]byte
		change func(block []uint32, w *Words)
		want   string
	}{
		{"ours", right, nil, ready},
		{"unsigned", sign(nil, nil), nil, bad},
		{"another key", sign(by(other), by(other)), nil, bad},
		{"the app of another key", sign(by(ours), by(other)), nil, badApp},
		{"ours signed second", sign(by(other, ours), by(other, ours)), nil, bad},
		{"ours signed first", sign(by(ours, other), by(ours, other)), nil, ready},
		{"the digest is hidden", right, func(_ []uint32, w *Words) { SetFieldOf(f, w, "RD_DIS", 3) }, bad},
		{"one bit of the digest", right, func(block []uint32, _ *Words) { block[7] ^= 1 << 31 }, bad},
		{"one bit of the key", right, func(block []uint32, _ *Words) { block[0] ^= 1 }, "invalid header"},
		{"the last of the digest's first half alone", right, func(block []uint32, _ *Words) { clear(block[4:7]) }, bad},
	} {
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			w := FactoryWords(Options{Chip: f})
			start, _ := wordsOf(f)
			block := w[start[3]:][:8]
			low, high := blockWords(reversedBytes(key)), blockWords(digest[:16])
			copy(block, low[:4])
			copy(block[4:], high[:4])
			for field, value := range map[string]uint32{"RD_DIS": 1, "SPI_BOOT_CRYPT_CNT": 7, "SECURE_BOOT_EN": 1} {
				SetFieldOf(f, &w, field, value)
			}
			if v.change != nil {
				v.change(block, &w)
			}
			console := bootText(t, newChip(t, Options{Chip: f, Words: &w, Flash: lay(2<<20, xtsAll(made[:], v.images)), FlashSize: 2 << 20}))
			not := "cpu_start"
			if v.want == ready {
				not = bad
			}
			wantConsole(t, console, []string{v.want}, not)
		})
	}
}
