package sim

// What code in RAM reaches outside its memory. Registers without a meaning here
// keep what is stored, as for the ROM's WRITE_REG.

const (
	rtcOptions  = 0x3ff48000
	softwareRST = 1 << 31
)

// Load implements xtensa.Bus.
func (m *core) Load(addr uint32) (uint32, bool) {
	at := mirrored(addr)
	switch {
	case !m.c.mapped(at):
		return 0, false
	case at >= uartBase && at < uartEnd:
		return m.loadUART(at - uartBase), true
	case at >= aesBase && at < aesEnd:
		return m.loadAES(at - aesBase), true
	}
	if off, ok := m.c.spiReg(at); ok {
		return m.loadSPI(off), true
	}
	return m.c.readWord(at), true
}

// Store implements xtensa.Bus.
func (m *core) Store(addr, v uint32) bool {
	m.polls = 0
	at := mirrored(addr)
	switch {
	case !m.c.mapped(at):
		return false
	case at >= uartBase && at < uartEnd:
		m.storeUART(at-uartBase, v)
		return true
	case at >= aesBase && at < aesEnd:
		m.storeAES(at-aesBase, v)
		return true
	case m.storeDog(at, v):
		return true
	case at == rtcOptions && v&softwareRST != 0:
		m.reset, m.cpu.Stopped = true, true
		return true
	}
	if off, ok := m.c.spiReg(at); ok {
		m.storeSPI(off, v)
		return true
	}
	m.c.writeWord(at, v)
	return true
}
