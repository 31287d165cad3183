package sim

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
)

// The flash decryptor as the hardware has it: a 256-bit key whose bits are
// flipped by bits of the flash address, one key for each 32 bytes.

// tweakRuns is where, from key bit 0 (the top bit of the first key byte), each
// run of address bits starts; a run goes down from bit 23 to bit 5 or ends
// where the next begins. A new quarter begins where FLASH_CRYPT_CONFIG has a bit of its own.
var tweakRuns = []struct{ first, quarter int }{
	{0, 0}, {19, 0}, {38, 0}, {57, -1}, // -1: from address bit 14, 12, 10, 8
	{67, 1}, {86, 1}, {105, 1}, {124, -1},
	{132, 2}, {151, 2}, {170, 2}, {189, -1},
	{195, 3}, {214, 3}, {233, 3}, {252, -1},
}

// tweakBit[n] is the address bit that flips key bit n, tweakQuarter[n] the bit
// of FLASH_CRYPT_CONFIG that allows it.
var tweakBit, tweakQuarter = tweakTables()

func tweakTables() (bit, quarter [256]int) {
	short := 14
	at := 0
	for i, run := range tweakRuns {
		end := 256
		if i+1 < len(tweakRuns) {
			end = tweakRuns[i+1].first
		}
		from := 23
		if run.quarter < 0 {
			from, short = short, short-2
		} else {
			at = run.quarter
		}
		for n := run.first; n < end; n++ {
			bit[n], quarter[n] = from-(n-run.first), at
		}
	}
	return bit, quarter
}

// flashCipher is what stands between the CPU and its flash. It works in place on
// whole 16-byte blocks from a 16-aligned address.
type flashCipher interface {
	decrypt(p []byte, addr uint32)
	encrypt(p []byte, addr uint32)
}

// tweakedCipher decrypts flash with one key and one FLASH_CRYPT_CONFIG.
type tweakedCipher struct {
	key   [32]byte
	masks [24][32]byte // per address bit: the key bits that it flips
}

// newFlashCipher takes the key in the order of a key file.
func newFlashCipher(key [32]byte, config uint32) *tweakedCipher {
	f := &tweakedCipher{key: key}
	for n := range 256 {
		if config>>tweakQuarter[n]&1 != 0 {
			f.masks[tweakBit[n]][n/8] |= 0x80 >> (n % 8)
		}
	}
	return f
}

// tweaked is the block cipher for the 32 bytes at an address.
func (f *tweakedCipher) tweaked(addr uint32) cipher.Block {
	var words [4]uint64
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(f.key[8*i:])
	}
	for bit := 5; bit <= 23; bit++ {
		if addr>>bit&1 != 0 {
			for i := range words {
				words[i] ^= binary.LittleEndian.Uint64(f.masks[bit][8*i:])
			}
		}
	}
	var key [32]byte
	for i, w := range words {
		binary.LittleEndian.PutUint64(key[8*i:], w)
	}
	block, _ := aes.NewCipher(key[:]) // 32 bytes: cannot fail
	return block
}

// apply works in place on whole 16-byte blocks from a 16-aligned address.
func (f *tweakedCipher) apply(p []byte, addr uint32, encrypt bool) {
	var block cipher.Block
	for len(p) >= 16 {
		if block == nil || addr%32 == 0 {
			block = f.tweaked(addr &^ 31)
		}
		mirror(p[:16])
		if encrypt {
			block.Decrypt(p, p) // the hardware runs the cipher backwards
		} else {
			block.Encrypt(p, p)
		}
		mirror(p[:16])
		p, addr = p[16:], addr+16
	}
}

func (f *tweakedCipher) decrypt(p []byte, addr uint32) { f.apply(p, addr, false) }
func (f *tweakedCipher) encrypt(p []byte, addr uint32) { f.apply(p, addr, true) }

func mirror(p []byte) {
	a, b := binary.LittleEndian.Uint64(p), binary.BigEndian.Uint64(p[8:])
	binary.LittleEndian.PutUint64(p, b)
	binary.BigEndian.PutUint64(p[8:], a)
}

// blockKey is the key in key-file order out of BLOCK1 as the chip reads it:
// the whole block mirrored; of a 24-byte key bytes 8 to 15 follow once more.
func blockKey(shown [8]uint32, scheme int) (key [32]byte) {
	var b [32]byte
	for i, w := range shown {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
	n := 32
	if scheme == coding34 {
		n = 24
	}
	for i := range n {
		key[i] = b[n-1-i]
	}
	if n == 24 {
		copy(key[24:], key[8:16])
	}
	return key
}
