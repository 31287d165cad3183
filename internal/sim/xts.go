package sim

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"slices"
)

// xtsCipher is the flash decryptor of the later chips: XTS-AES (IEEE 1619) over
// units of 128 bytes, whose number is their address and whose bytes stand in
// reverse: so do those of the two keys.
type xtsCipher struct{ data, tweak cipher.Block }

const xtsUnit = 128

// newXTS takes the key in the order of a key file: 32 or 64 bytes.
func newXTS(key []byte) xtsCipher {
	half := len(key) / 2
	data, _ := aes.NewCipher(key[:half]) // 16 or 32 bytes: cannot fail
	tweak, _ := aes.NewCipher(key[half:])
	return xtsCipher{data, tweak}
}

func (x xtsCipher) decrypt(p []byte, addr uint32) { x.apply(p, addr, x.data.Decrypt) }
func (x xtsCipher) encrypt(p []byte, addr uint32) { x.apply(p, addr, x.data.Encrypt) }

func (x xtsCipher) apply(p []byte, addr uint32, run func(dst, src []byte)) {
	for ; len(p) >= 16; p, addr = p[16:], addr+16 {
		mask := x.mask(addr)
		slices.Reverse(p[:16])
		for i := range mask {
			p[i] ^= mask[i]
		}
		run(p[:16], p[:16])
		for i := range mask {
			p[i] ^= mask[i]
		}
		slices.Reverse(p[:16])
	}
}

// mask is the tweak of the block at an address, the last of its unit being the first.
func (x xtsCipher) mask(addr uint32) (m [16]byte) {
	binary.LittleEndian.PutUint32(m[:], addr&^(xtsUnit-1))
	x.tweak.Encrypt(m[:], m[:])
	for range xtsUnit/16 - 1 - addr%xtsUnit/16 {
		carry := byte(0)
		for i := range m {
			carry, m[i] = m[i]>>7, m[i]<<1|carry
		}
		if carry != 0 {
			m[0] ^= 0x87
		}
	}
	return m
}
