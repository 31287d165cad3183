// Package flashcrypt is flash encryption on the host: what a chip's flash
// controller decrypts with the key in its fuses. It is pure.
//
// The ESP32 has a cipher of its own; it refuses addresses from 16 MiB, where the
// tweak is not defined. The chips after it have XTS-AES, see NewXTS.
//
// On the ESP32 each 16-byte block is reversed, run through AES-256 and reversed again; the
// key is tweaked with bits 5 to 23 of the flash address, so two blocks share
// one. Writing flash is the AES decryption, reading it the encryption.
// (ESP-IDF, "Flash Encryption", flash encryption algorithm)
package flashcrypt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"sync"

	"station/internal/secret"
)

const (
	// BlockSize is the unit of addresses and lengths.
	BlockSize = 16
	// UnitSize is the span of flash that shares one tweaked key.
	UnitSize = 32
	// Limit is the first flash address that cannot be encrypted.
	Limit = 0x1000000
	// KeySize is the key in BLOCK1; with 3/4 coding it holds ShortKeySize.
	KeySize      = 32
	ShortKeySize = 24
)

// ErrDestroyed answers every use of a Cipher after Destroy.
var ErrDestroyed = errors.New("flash cipher: the key has been destroyed")

// Cipher encrypts for one device. It may be used by several goroutines; they
// take turns.
type Cipher struct {
	mu     sync.Mutex
	xts    int                  // bytes of each of the two keys of XTS; 0 on the ESP32
	memory *secret.Bytes        // the key, then the schedule of the unit at work
	masks  [tweakBits]tweakMask // what each address bit flips
}

// New copies the key (32 bytes, or 24 as 3/4 coding has them, in the order of
// a key file) into memory of its own; the caller still owns and destroys key.
// config is FLASH_CRYPT_CONFIG: which quarters of the key are tweaked, 0xF all.
func New(key *secret.Bytes, config uint8) (*Cipher, error) {
	if n := key.Len(); n != KeySize && n != ShortKeySize {
		return nil, fmt.Errorf("flash cipher: key of %d bytes: want 32, or 24 with 3/4 coding", n)
	}
	if config > 0xf {
		return nil, fmt.Errorf("flash cipher: FLASH_CRYPT_CONFIG %#x: want 0 to 0xf", config)
	}
	memory, err := secret.Make(KeySize + scheduleSize)
	if err != nil {
		return nil, fmt.Errorf("flash cipher: %w", err)
	}
	// One byte at a time: copy would leave the key in a vector register.
	to, from := memory.Reveal(), key.Reveal()
	for i := range KeySize {
		n := i
		if n >= len(from) {
			n -= 16 // the chip completes a 24-byte key with its bytes 8 to 15
		}
		to[i] = from[n]
	}
	return &Cipher{memory: memory, masks: masks(config)}, nil
}

// Destroy overwrites the key and the schedule. It may be called more than once.
func (c *Cipher) Destroy() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.memory.Destroy()
}

// Encrypt writes to dst what the flash at addr must hold so that the chip
// reads src. Address and length are multiples of 16. dst may be src itself,
// but they may not overlap otherwise.
func (c *Cipher) Encrypt(dst, src []byte, addr uint32) error {
	return c.crypt(dst, src, addr, true)
}

// Decrypt is the inverse of Encrypt: what the chip reads.
func (c *Cipher) Decrypt(dst, src []byte, addr uint32) error {
	return c.crypt(dst, src, addr, false)
}

func (c *Cipher) crypt(dst, src []byte, addr uint32, toFlash bool) error {
	if err := c.checkRange(addr, int64(len(src))); err != nil {
		return err
	}
	if len(dst) < len(src) {
		return fmt.Errorf("flash cipher: %d bytes do not fit in %d", len(src), len(dst))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	memory := c.memory.Reveal()
	if memory == nil {
		return ErrDestroyed
	}
	if c.xts > 0 {
		c.cryptXTS(memory, dst, src, addr, toFlash)
		return nil
	}
	s := (*schedule)(memory[KeySize:])
	defer clear(s[:])
	for len(src) > 0 {
		c.tweak(s, memory[:KeySize], addr)
		s.expand()
		run := s.encrypt
		if toFlash {
			s.invert()
			run = s.decrypt
		}
		n := min(UnitSize-int(addr%UnitSize), len(src))
		for o := 0; o < n; o += BlockSize {
			run(dst[o:o+BlockSize], src[o:o+BlockSize])
		}
		dst, src, addr = dst[n:], src[n:], addr+uint32(n)
	}
	return nil
}

func (c *Cipher) checkRange(addr uint32, n int64) error {
	switch {
	case c.xts > 0 && addr%BlockSize == 0 && n%BlockSize == 0 && int64(addr)+n <= 1<<32:
		return nil
	case c.xts > 0 && int64(addr)+n > 1<<32:
		return fmt.Errorf("flash cipher: %#x bytes at %#x end above 4 GiB", n, addr)
	case addr%BlockSize != 0:
		return fmt.Errorf("flash cipher: address %#x is not a multiple of 16", addr)
	case n%BlockSize != 0:
		return fmt.Errorf("flash cipher: length %d is not a multiple of 16", n)
	case int64(addr)+n > Limit:
		return fmt.Errorf("flash cipher: %#x bytes at %#x end above %#x, the last address the ESP32 can encrypt", n, addr, Limit)
	}
	return nil
}

// Address bits 5 to 23 flip key bits.
const (
	lowBit    = 5
	highBit   = 23
	tweakBits = highBit - lowBit + 1
)

// tweakMask is 256 key bits in the order of the AES key: bit 0 is the most
// significant of the first word.
type tweakMask [KeySize / 4]uint32

// quarters are the first key bits of the spans that bits 0 to 3 of
// FLASH_CRYPT_CONFIG enable.
var quarters = [...]int{0, 67, 132, 195, 256}

// masks finds for each address bit which key bits it flips: each quarter takes
// address bits 23 down to 5 three times, then as many of the lowest as it has
// key bits left, down to 5 again.
func masks(config uint8) (m [tweakBits]tweakMask) {
	for q := range len(quarters) - 1 {
		if config>>q&1 == 0 {
			continue
		}
		for n := quarters[q]; n < quarters[q+1]; n++ {
			bit := highBit - (n-quarters[q])%tweakBits
			if left := quarters[q+1] - n; n-quarters[q] >= 3*tweakBits {
				bit = lowBit + left - 1
			}
			m[bit-lowBit][n/32] |= 1 << (31 - n%32)
		}
	}
	return m
}

// tweak puts the key for addr into the first eight words of the schedule.
func (c *Cipher) tweak(s *schedule, key []byte, addr uint32) {
	var mask tweakMask
	for a := addr >> lowBit; a != 0; a &= a - 1 {
		flips := &c.masks[bits.TrailingZeros32(a)]
		for i := range mask {
			mask[i] ^= flips[i]
		}
	}
	for i := range mask {
		s.setWord(i, binary.BigEndian.Uint32(key[4*i:])^mask[i])
	}
}
