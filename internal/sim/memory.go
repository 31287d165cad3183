package sim

import (
	"bytes"
	"encoding/binary"
)

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

// FindInRAM looks for any n bytes on end of p in what the chip's RAM holds.
func (c *Chip) FindInRAM(p []byte, n int) (addr uint32, found bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.memory == nil {
		return 0, false
	}
	for from := 0; from+n <= len(p); from++ {
		for _, mem := range []struct {
			at   uint32
			data []byte
		}{{dataRAM, c.memory.data}, {codeRAM, c.memory.code}} {
			if i := bytes.Index(mem.data, p[from:from+n]); i >= 0 {
				return mem.at + uint32(i), true
			}
		}
	}
	return 0, false
}
