package sim

import "encoding/binary"

// The memory into which the loader puts code: data RAM, and the RAM that code runs
// from, which takes only whole words. That the upper part of the one is the upper
// part of the other, word by word the other way round, is not modelled. Its
// content outlives a reset, not the loss of power.

const (
	dataRAM     = 0x3ffae000
	dataRAMEnd  = 0x40000000
	codeRAM     = 0x40080000
	codeRAMEnd  = 0x400c0000
	wordOfBytes = 4
)

// internalRAM is made when it is first loaded into.
type internalRAM struct {
	data []byte
	code []byte
}

func newInternalRAM(words map[uint32]uint32) *internalRAM {
	m := &internalRAM{data: make([]byte, dataRAMEnd-dataRAM), code: make([]byte, codeRAMEnd-codeRAM)}
	for addr, v := range words {
		m.setWord(addr, v)
	}
	return m
}

// at is the memory from an address on, nil where there is none.
func (m *internalRAM) at(addr uint32) []byte {
	switch {
	case m == nil:
	case addr >= dataRAM && addr < dataRAMEnd:
		return m.data[addr-dataRAM:]
	case addr >= codeRAM && addr < codeRAMEnd:
		return m.code[addr-codeRAM:]
	}
	return nil
}

func (m *internalRAM) word(addr uint32) (uint32, bool) {
	p := m.at(addr)
	if len(p) < wordOfBytes {
		return 0, false
	}
	return binary.LittleEndian.Uint32(p), true
}

func (m *internalRAM) setWord(addr, v uint32) bool {
	p := m.at(addr)
	if len(p) < wordOfBytes {
		return false
	}
	binary.LittleEndian.PutUint32(p, v)
	return true
}

// RAM is a copy of n bytes of the chip's RAM, zeros where nothing was ever loaded
// or the power has gone since.
func (c *Chip) RAM(addr uint32, n int) []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := make([]byte, n)
	copy(p, c.memory.at(addr))
	return p
}
