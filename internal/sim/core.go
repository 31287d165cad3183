package sim

import (
	"time"

	"station/internal/xtensa"
)

// core is the processor while it executes what was loaded into RAM, and the
// hardware that such code reaches. Nothing here knows what the code is for: it is
// executed instruction by instruction, with the bytes from the host arriving
// when the line brings them.
//
// Its clock counts cycles of the crystal, which is the processor's clock as the
// ROM leaves it in its loader. At full speed that clock is all there is: it goes
// on with each byte that is sent, and while somebody waits for an answer. A chip that
// keeps real time takes it from the wire.
type core struct {
	c   *Chip
	cpu *xtensa.CPU
	mhz float64

	uart uart
	spi  spiTimes
	aes  aesUnitState
	dogs [2]watchdog

	lineIn float64 // the cycle at which the line from the host is free
	epoch  time.Time
	seen   time.Time // when somebody last looked
	polls  int       // for a byte that is not there, one after the other, and nothing done between them
	polled uint64    // instructions at the last of them,
	kept   [6]uint32 // and what a function keeps for its caller
	reset  bool      // the code asks for one
}

// State at the entry, as the ROM left it (esp32 ECO3).
const (
	entryPS     = 0x00060320
	entryVector = 0x40000000
	entryStack  = 0x3ffe3eb0

	idlePolls     = 3  // so many empty polls,
	idlePollSteps = 64 // with fewer instructions between them and the same in its registers, are a processor that waits
	settleSlice   = 2000
	longestWait   = 2 * time.Second // on the chip's clock, for an answer
	idleLook      = 100 * time.Millisecond
)

// execute starts code at its entry.
func (c *Chip) execute(entry uint32) {
	if c.memory == nil {
		c.memory = newInternalRAM(c.ram)
	}
	m := &core{c: c, mhz: float64(c.opts.Crystal)}
	m.cpu = xtensa.New(m, entry,
		xtensa.Span{From: dataRAM, Data: c.memory.data},
		xtensa.Span{From: codeRAM, Data: c.memory.code, Words: true})
	m.cpu.A[1], m.cpu.PS, m.cpu.VecBase = entryStack, entryPS, entryVector
	for i := range m.dogs {
		m.dogs[i] = watchdog{on: true, locked: true}
	}
	m.uart.byteTime = m.cycles(c.opts.Times.onWire(1, c.baud))
	m.seen = time.Now()
	m.epoch = later(later(c.wire.cpu, c.wire.lineOut), m.seen)
	c.mode, c.core = executing, m
}

// leaveCode ends the execution and counts what it took.
func (c *Chip) leaveCode() {
	m := c.core
	if m == nil {
		return
	}
	m.deliver()
	c.core = nil
	t := &c.meter.Code
	t.Time += m.duration(m.cpu.Cycles)
	t.Instructions += m.cpu.Instructions
	t.Baud = int(c.baud + 0.5)
}

func (m *core) cycles(d time.Duration) float64 { return d.Seconds() * m.mhz * 1e6 }
func (m *core) duration(cycles uint64) time.Duration {
	return time.Duration(float64(cycles) / m.mhz * 1e3)
}
func (m *core) now() float64 { return float64(m.cpu.Cycles) }

// advance executes up to a cycle, or as far as the code has something to do: it
// would wait for a byte until then.
func (m *core) advance(until float64) {
	for m.c.core == m && m.now() < until {
		bite := m.nextBite()
		err := m.cpu.Run(uint64(min(until, bite)) + 1)
		switch {
		case err != nil:
			m.die(err)
		case m.reset:
			m.restart(resetSW)
		case m.now() >= bite:
			m.restart(resetRTCWDT)
		case m.waits():
			m.cpu.Cycles = max(m.cpu.Cycles, uint64(min(until, bite)))
		}
	}
}

// die is what a chip does that cannot go on: nothing, until it is reset.
func (m *core) die(why error) {
	m.c.codeFault = why
	m.c.leaveCode()
	m.c.mode = hung
}

func (m *core) restart(reason int) {
	m.c.leaveCode()
	m.c.start(reason)
}

// waits reports whether the code does nothing but look for a byte that is not there.
func (m *core) waits() bool { return m.polls >= idlePolls && !m.uart.sending(m.now()) }

// poll counts a look at an empty FIFO.
func (m *core) poll() {
	a := &m.cpu.A
	kept := [6]uint32{a[0], a[1], a[12], a[13], a[14], a[15]}
	if m.cpu.Instructions-m.polled > idlePollSteps || kept != m.kept {
		m.polls = 0
	}
	m.polls, m.polled, m.kept = m.polls+1, m.cpu.Instructions, kept
	m.cpu.Stopped = m.waits()
}

// hears takes a byte off the line, at full speed when the line brings it.
func (m *core) hears(b byte) {
	if m.c.opts.Pace {
		m.advance(m.cycles(m.c.wire.lineIn.Sub(m.epoch)))
	} else {
		m.lineIn = max(m.lineIn, m.uart.heardAt)
		if m.now() > m.lineIn+m.uart.byteTime { // somebody has waited for it
			m.lineIn = m.now()
		}
		m.lineIn += m.uart.byteTime
		m.advance(m.lineIn)
	}
	if m.c.core != m {
		return
	}
	m.polls = 0
	m.uart.receive(b)
}

// settle lets the code do what it does by now on a chip that keeps real time. At
// full speed it goes on where somebody looks again after a while.
func (m *core) settle(now time.Time) {
	if m.c.opts.Pace {
		m.advance(m.cycles(now.Sub(m.epoch)))
		m.deliver()
		return
	}
	passed := now.Sub(m.seen)
	if !m.waits() || passed >= idleLook {
		m.seen = now
	}
	if m.waits() && passed >= idleLook {
		m.polls = 0
		m.advance(m.now() + m.cycles(passed))
		m.deliver()
	}
}

// answer executes until the host hears something, or the code waits.
func (m *core) answer() {
	if m.c.opts.Pace {
		return
	}
	for end := m.now() + m.cycles(longestWait); m.c.core == m && m.now() < end; {
		before := len(m.uart.out)
		m.advance(m.now() + settleSlice)
		if len(m.uart.out) == before && (before > 0 || m.waits()) {
			break
		}
	}
	if m.c.core == m {
		m.uart.heardAt = max(m.uart.heardAt, m.uart.free+m.cycles(m.c.opts.Times.RoundTrip))
		m.deliver()
	}
}

// deliver sends what the UART has sent to the host.
func (m *core) deliver() {
	if len(m.uart.out) == 0 {
		return
	}
	m.c.meter.Code.BytesOut += len(m.uart.out)
	p := m.c.faultyCodeReply(m.uart.out)
	m.uart.out = nil
	if m.c.opts.Pace {
		m.c.wire.cost = 0
		m.c.wire.cpu = m.epoch.Add(m.duration(uint64(m.uart.free)))
		m.c.wire.lineOut = m.c.wire.cpu.Add(-m.c.opts.Times.onWire(len(p), m.c.baud))
	}
	m.c.reply(p)
}

// nextLook is when a reader that waits should look again; zero for never.
func (m *core) nextLook(now time.Time) time.Time {
	switch {
	case m.waits():
		return now.Add(idleLook)
	case m.c.opts.Pace:
		return now.Add(time.Millisecond)
	}
	return now.Add(time.Microsecond)
}

// answerOfCode lets code in RAM go on while the host waits for it, and reports
// whether there is something to read now.
func (c *Chip) answerOfCode(now time.Time) bool {
	if c.core == nil {
		return false
	}
	c.core.answer()
	return len(c.wire.out) > 0 && !c.wire.out[0].at.After(now)
}
