package sim

import "time"

// What commands to the flash take on the bus and in the flash, while code in RAM
// runs: it must wait for the controller, and the flash answers nothing but its
// status while it programs or erases.

const (
	spiClock     = 0x18
	spiUndivided = 1 << 31
	commandBits  = 8
)

type spiTimes struct {
	bus   float64 // the controller is done
	flash float64 // the flash is
}

func (m *core) loadSPI(off uint32) uint32 {
	if off == spiCMD && m.now() < m.spi.bus {
		return userGo
	}
	return m.c.spi[off/4]
}

func (m *core) storeSPI(off, v uint32) {
	switch {
	case m.now() < m.spi.bus: // it takes nothing before it is done
	case off == spiCMD && v&userGo != 0:
		m.runSPI()
	default:
		m.c.writeSPI(off, v)
	}
}

// divider is how many cycles of the peripherals' clock, which is the
// processor's, a bit takes.
func (m *core) divider() float64 {
	v := m.c.spi[spiClock/4]
	if v&spiUndivided != 0 {
		return 1
	}
	return float64((v>>18&0x1fff + 1) * (v>>12&0x3f + 1))
}

// runSPI is one command on the bus, and what it keeps the flash busy with.
func (m *core) runSPI() {
	at := m.c.si.data().spi
	reg := func(off uint32) uint32 { return m.c.spi[off/4] }
	user, op := reg(at.user), byte(reg(at.user2))
	bits, sent := commandBits, 0
	if user&userAddr != 0 {
		bits += int(reg(at.user1)>>26) + 1
	}
	if user&userMOSI != 0 {
		sent = int(reg(at.mosi)&0xfff) + 1
		bits += sent
	}
	if user&userMISO != 0 {
		bits += int(reg(at.miso)&0xfff) + 1
	}
	m.spi.bus = m.now() + float64(bits)*m.divider()
	if m.now() < m.spi.flash {
		m.busyFlash(op, at)
		return
	}
	takes := m.flashTime(op, sent/8)
	pages := m.c.meter.PagesProgrammed
	m.c.spiCommand()
	m.c.meter.PagesProgrammed = pages // a page is programmed in pieces
	if takes > 0 {
		m.spi.flash = m.spi.bus + m.cycles(takes)
		m.c.meter.Code.FlashTime += takes
	}
}

// busyFlash is the answer of a flash at work: its status says so, anything else is not heard.
func (m *core) busyFlash(op byte, at spiRegisters) {
	w0 := &m.c.spi[at.w0/4]
	if *w0 = 0xffffffff; op == 0x05 {
		*w0 = 0x03 // busy, write enable latch
	}
}

// flashTime is how long a command keeps the flash busy.
func (m *core) flashTime(op byte, n int) time.Duration {
	t := m.c.opts.Times
	if !m.c.flash.wel {
		return 0
	}
	switch op {
	case 0x02:
		m.c.meter.Code.Programs++
		return t.program(n)
	case 0x20:
		return t.SectorErase
	case 0xd8:
		return t.BlockErase
	case 0xc7, 0x60:
		return time.Duration(len(m.c.flash.mem)/blockSize) * t.BlockErase
	}
	return 0
}
