package sim

import (
	"math"
	"time"
)

// The watchdogs that bite code in RAM which neither feeds nor stops them: that of
// the RTC and that of timer group 0. Whether the ROM leaves them running in its
// loader nobody has told; here they run, and bite soon.

const biteAfter = time.Second

var dogRegs = [2]struct{ config, feed, protect uint32 }{
	{0x3ff4808c, 0x3ff480a0, 0x3ff480a4},
	{0x3ff5f048, 0x3ff5f060, 0x3ff5f064},
}

const (
	dogKey    = 0x50d83aa1
	dogEnable = 1 << 31
)

type watchdog struct {
	on, locked bool
	fed        float64
}

// nextBite is the cycle at which the first of them bites.
func (m *core) nextBite() float64 {
	first := math.Inf(1)
	for _, d := range m.dogs {
		if d.on {
			first = min(first, d.fed+m.cycles(biteAfter))
		}
	}
	return first
}

// storeDog reports whether the register is one of a watchdog.
func (m *core) storeDog(addr, v uint32) bool {
	for i, r := range dogRegs {
		d := &m.dogs[i]
		switch {
		case addr == r.protect:
			d.locked = v != dogKey
		case addr != r.config && addr != r.feed:
			continue
		case d.locked:
		case addr == r.config:
			d.on, d.fed = v&dogEnable != 0, m.now()
		default:
			d.fed = m.now()
		}
		m.cpu.Stopped = true // the next bite has moved
		return true
	}
	return false
}
