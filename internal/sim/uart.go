package sim

// UART0 as code in RAM sees it: two FIFOs of 128 bytes. A byte that arrives while
// the one for receiving is full is lost, and the chip only notes it.

const (
	uartBase = 0x3ff40000
	uartEnd  = uartBase + 0x80

	uartFIFO     = 0x00
	uartRaw      = 0x04
	uartClear    = 0x10
	uartStatus   = 0x1c // RXFIFO_CNT in bits 0 to 7, TXFIFO_CNT in 16 to 23
	uartRxStatus = 0x60 // where the FIFO in memory is read (bits 2 to 12) and written (13 to 23)

	uartOverflow = 1 << 4
	uartDepth    = 128
)

type uart struct {
	byteTime float64 // of the processor's cycles
	fifo     [uartDepth]byte
	read     int // bytes taken out since the start,
	written  int // and put in
	overrun  bool
	lost     int

	out     []byte  // sent and not yet with the host
	free    float64 // when the line to the host is
	heardAt float64 // when a host that waited has heard the last of it
}

func (u *uart) receive(b byte) {
	if u.written-u.read == uartDepth {
		u.overrun = true
		u.lost++
		return
	}
	u.fifo[u.written%uartDepth] = b
	u.written++
}

// sending reports whether bytes stand in the FIFO to the host.
func (u *uart) sending(now float64) bool { return u.free > now }

// queued is how many.
func (u *uart) queued(now float64) int {
	if !u.sending(now) {
		return 0
	}
	return min(uartDepth, int((u.free-now)/u.byteTime)+1)
}

func (m *core) loadUART(off uint32) uint32 {
	u := &m.uart
	held := u.written - u.read
	switch off {
	case uartFIFO:
		if held == 0 {
			return 0
		}
		u.read++
		return uint32(u.fifo[(u.read-1)%uartDepth])
	case uartRaw:
		if u.overrun {
			return uartOverflow
		}
		return 0
	case uartStatus:
		return uint32(held) | uint32(u.queued(m.now()))<<16
	case uartRxStatus:
		if held == 0 {
			m.poll()
		}
		return uint32(u.read%uartDepth)<<2 | uint32(u.written%uartDepth)<<13
	}
	return m.c.readWord(uartBase + off)
}

func (m *core) storeUART(off, v uint32) {
	u := &m.uart
	switch off {
	case uartFIFO:
		if u.queued(m.now()) < uartDepth {
			u.out = append(u.out, byte(v))
			u.free = max(u.free, m.now()) + u.byteTime
		}
	case uartClear:
		u.overrun = u.overrun && v&uartOverflow == 0
	default:
		m.c.writeWord(uartBase+off, v)
	}
}
