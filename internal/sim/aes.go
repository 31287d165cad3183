package sim

import (
	"crypto/aes"
	"encoding/binary"
)

// The AES accelerator (Technical Reference Manual, "AES Accelerator"): key, text,
// mode, start, idle. It is dead while its clock is off, or it or one of the two
// units that hold it are in reset. Byte order is that of the reset; another is not modelled.

const (
	aesBase = 0x3ff01000
	aesEnd  = aesBase + 0x44

	aesStart  = 0x00
	aesIdle   = 0x04
	aesMode   = 0x08 // 0 to 2 encrypt with 128, 192, 256 bits; 4 to 6 decrypt
	aesKey    = 0x10
	aesText   = 0x30
	aesEndian = 0x40

	aesEncryptCycles = 15
	aesDecryptCycles = 22

	dportClock = 0x3ff0001c
	dportReset = 0x3ff00020
	aesUnit    = 1 << 0
	aesHolders = 1<<3 | 1<<4 // secure boot, digital signature
)

type aesUnitState struct {
	regs  [(aesEnd - aesBase) / 4]uint32
	until float64 // it is busy
}

// aesLives reports whether the unit has its clock and is out of reset.
func (c *Chip) aesLives() bool {
	return c.ram[dportClock]&aesUnit != 0 && c.ram[dportReset]&(aesUnit|aesHolders) == 0
}

func (m *core) loadAES(off uint32) uint32 {
	switch {
	case !m.c.aesLives():
		return 0
	case off == aesIdle:
		if m.now() < m.aes.until {
			return 0
		}
		return 1
	}
	return m.aes.regs[off/4]
}

func (m *core) storeAES(off, v uint32) {
	switch {
	case !m.c.aesLives() || m.now() < m.aes.until:
	case off == aesStart && v&1 != 0:
		m.runAES()
	case off != aesIdle:
		m.aes.regs[off/4] = v
	}
}

// runAES puts the text through the cipher.
func (m *core) runAES() {
	mode := m.aes.regs[aesMode/4]
	size := 16 + 8*int(mode&3)
	if size > 32 {
		return
	}
	var key [32]byte
	var text [16]byte
	for i := range size / 4 {
		binary.LittleEndian.PutUint32(key[4*i:], m.aes.regs[aesKey/4+i])
	}
	for i := range 4 {
		binary.LittleEndian.PutUint32(text[4*i:], m.aes.regs[aesText/4+i])
	}
	block, _ := aes.NewCipher(key[:size]) // a size that there is
	run, cycles := block.Encrypt, aesEncryptCycles
	if mode&4 != 0 {
		run, cycles = block.Decrypt, aesDecryptCycles
	}
	run(text[:], text[:])
	for i := range 4 {
		m.aes.regs[aesText/4+i] = binary.LittleEndian.Uint32(text[4*i:])
	}
	m.aes.until = m.now() + float64(cycles)
}
