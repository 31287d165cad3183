package flashcrypt

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"station/internal/chip"
	"station/internal/secret"
)

// xtsUnit is the span of flash that is one data unit of XTS (IEEE 1619).
const xtsUnit = 128

// NewXTS is the cipher of the chips after the ESP32. The key has 32 bytes for
// XTS-AES-128 or 64 for XTS-AES-256, in the order of a key file; of 16 the ESP32-C2
// makes 32, their SHA-256. It is copied into memory of the cipher's own, and the
// caller still owns and destroys key.
//
// A data unit is 128 bytes of flash with all its bytes reversed, its number the
// address of its first byte. So a 16-byte block of flash is one of XTS, counted
// from the unit's end.
func NewXTS(key *secret.Bytes) (*Cipher, error) {
	n := key.Len()
	if n != 16 && n != 32 && n != 64 {
		return nil, fmt.Errorf("flash cipher: key of %d bytes: want 32 for XTS-AES-128, 64 for XTS-AES-256, or 16 for an ESP32-C2", n)
	}
	c := &Cipher{xts: max(n, 32) / 2}
	var err error
	if c.memory, err = secret.Make(2*scheduleSize + 64 + 2*BlockSize); err != nil {
		return nil, fmt.Errorf("flash cipher: %w", err)
	}
	to, from := c.memory.Reveal()[2*scheduleSize:], key.Reveal()
	//lint:ignore S1001 one byte at a time: copy would leave the key in a vector register
	for i, b := range from {
		to[i] = b
	}
	if n == 16 {
		made := sha256.Sum256(to[:n])
		copy(to, made[:])
		clear(made[:])
	}
	return c, nil
}

// For is the cipher of a chip's flash: New or NewXTS. config is of the ESP32 alone.
func For(kind chip.Cipher, key *secret.Bytes, config uint8) (*Cipher, error) {
	if kind == chip.TweakedAES {
		return New(key, config)
	}
	return NewXTS(key)
}

// xtsMemory is how a Cipher for XTS uses its memory.
type xtsMemory struct {
	data, tweak *schedule
	keys        []byte
	mask, block []byte // both reversed, as the flash has them
}

func xtsView(memory []byte) xtsMemory {
	rest := memory[2*scheduleSize:]
	return xtsMemory{data: (*schedule)(memory), tweak: (*schedule)(memory[scheduleSize:]), keys: rest[:64],
		mask: rest[64:][:BlockSize], block: rest[64+BlockSize:][:BlockSize]}
}

func (c *Cipher) cryptXTS(memory, dst, src []byte, addr uint32, toFlash bool) {
	m := xtsView(memory)
	defer func() {
		clear(m.data[:])
		clear(m.tweak[:])
		clear(m.mask)
		clear(m.block)
	}()
	n := c.expandXTS(m.data, m.keys[:c.xts])
	c.expandXTS(m.tweak, m.keys[c.xts:2*c.xts])
	run := m.data.encryptRounds
	if !toFlash {
		m.data.invertRounds(n)
		run = m.data.decryptRounds
	}
	for ; len(src) > 0; dst, src, addr = dst[BlockSize:], src[BlockSize:], addr+BlockSize {
		clear(m.mask)
		binary.BigEndian.PutUint64(m.mask[8:], uint64(addr&^(xtsUnit-1)))
		m.tweak.encryptRounds(m.mask, m.mask, n)
		for range 7 - addr%xtsUnit/BlockSize {
			double(m.mask)
		}
		for i := range m.block {
			m.block[i] = src[i] ^ m.mask[i]
		}
		run(m.block, m.block, n)
		for i := range m.block {
			dst[i] = m.block[i] ^ m.mask[i]
		}
	}
}

// expandXTS fills a schedule and returns its rounds.
func (c *Cipher) expandXTS(s *schedule, key []byte) int {
	for i := range len(key) / 4 {
		s.setWord(i, binary.BigEndian.Uint32(key[4*i:]))
	}
	if c.xts == 16 {
		s.expandShort()
		return shortRounds
	}
	s.expand()
	return rounds
}

// double multiplies a mask by the generator of XTS's field; its bytes stand
// reversed, the most significant first.
func double(mask []byte) {
	carry := byte(0)
	for i := BlockSize - 1; i >= 0; i-- {
		next := mask[i] >> 7
		mask[i] = mask[i]<<1 | carry
		carry = next
	}
	mask[BlockSize-1] ^= 0x87 & -carry
}
