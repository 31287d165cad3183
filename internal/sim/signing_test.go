package sim

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"testing"

	"station/internal/chip"
)

// What espsecure signed with EC keys, as the ROMs of chips that take them look at it.
func TestSignaturesOfECKeys(t *testing.T) {
	change := func(b []byte, at int) []byte { b = bytes.Clone(b); b[at] ^= 1; return b }
	block := func(b []byte, at int) []byte {
		b = change(b, len(b)-4096+at)
		binary.LittleEndian.PutUint32(b[len(b)-4096+1196:], crc32.ChecksumIEEE(b[len(b)-4096:][:1196]))
		return b
	}
	p256, p384, rsa := espsecure(t, "app.v2e256.bin"), espsecure(t, "app.v2e384.bin"), espsecure(t, "app.v2a.bin")
	const crc, untrusted, bad = "Sig block 0 invalid: CRC mismatch", "Sig block 0 signed with untrusted key", "signature verification failed"
	for _, v := range []struct {
		name   string
		chip   *chip.Family
		file   []byte
		digest string
		long   uint32 // SECURE_BOOT_SHA384_EN
		want   string
	}{
		{"P-256", chip.ESP32C6, p256, "v2e256.digest", 0, ""},
		{"P-256 where nothing else is taken", chip.ESP32C61, p256, "v2e256.digest", 0, ""},
		{"P-384", chip.ESP32C5, p384, "v2e384.digest", 1, ""},
		{"P-384 without the fuse", chip.ESP32C5, p384, "v2e384.digest", 0, "Sig block 0 invalid: Image digest does not match"},
		{"P-256 with the fuse", chip.ESP32C5, p256, "v2e256.digest", 1, "Sig block 0 invalid: Image digest does not match"},
		{"RSA with the fuse", chip.ESP32C5, rsa, "v2a.digest", 1, crc},
		{"RSA", chip.ESP32C5, rsa, "v2a.digest", 0, ""},
		{"RSA where it is not taken", chip.ESP32C61, rsa, "v2a.digest", 0, crc},
		{"P-256 where it is not taken", chip.ESP32C3, p256, "v2e256.digest", 0, crc},
		{"half of the digest", chip.ESP32C2, p256, "v2e256.digest", 0, ""},
		{"half of another digest", chip.ESP32C2, p256, "v2e384.digest", 0, untrusted},
		{"another key", chip.ESP32C6, p256, "v2e384.digest", 0, untrusted},
		{"the key changed", chip.ESP32C6, block(p256, 50), "v2e256.digest", 0, untrusted},
		{"r", chip.ESP32C6, block(p256, 101), "v2e256.digest", 0, bad},
		{"s", chip.ESP32C6, block(p256, 164), "v2e256.digest", 0, bad},
		{"the CRC", chip.ESP32C6, change(p256, len(p256)-4096+1196), "v2e256.digest", 0, crc},
		{"the image", chip.ESP32C6, change(p256, 100), "v2e256.digest", 0, "Sig block 0 invalid: Image digest does not match"},
	} {
		o := Options{Chip: v.chip, MAC: chip.MAC{2, 0, 0, 0, 0, 1}}
		w := FactoryWords(o)
		start, _ := wordsOf(v.chip)
		digest := blockWords(espsecure(t, v.digest))
		block := w[start[v.chip.Efuse.Block("BLOCK_KEY0")]:]
		if v.chip == chip.ESP32C2 {
			copy(block[4:], digest[:4])
		} else {
			copy(block, digest[:])
			SetFieldOf(v.chip, &w, "KEY_PURPOSE_0", purposeDigest0)
		}
		if v.long != 0 {
			SetFieldOf(v.chip, &w, "SECURE_BOOT_SHA384_EN", v.long)
		}
		o.Words, o.Flash = &w, lay(2<<20, map[uint32][]byte{0x10000: v.file})
		if got := newChip(t, o).signature2(0x10000, len(espsecure(t, "app.bin"))); got != v.want {
			t.Errorf("%s: got %q, want %q", v.name, got, v.want)
		}
	}
}
