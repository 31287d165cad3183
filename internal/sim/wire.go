package sim

import (
	"math"
	"math/bits"
	"slices"
	"time"
)

// The wire between chip and host: what was sent and not yet read, when it
// arrives, and what a wrong baud rate makes of it.

const (
	maxQueued   = 256 << 10              // of bytes that nobody reads: more are lost, as in an adapter
	maxSlip     = 10 * time.Millisecond  // of the machine's timers that a paced line makes good
	maxMismatch = 0.03                   // of the two baud rates, before bytes turn into garbage
	hostBuffer  = 4096                   // bytes that a paced Write takes without waiting
	freeRounds  = 3                      // of a boot loop at full speed
	roundPause  = 100 * time.Millisecond // between the later ones
)

// chunk is bytes on their way to the host.
type chunk struct {
	data []byte
	at   time.Time // when the last of them arrives; zero: at once
	baud float64   // of console text, which the host may still tune in to; 0: received already
}

type wire struct {
	out     []chunk
	queued  int
	changed chan struct{} // closed when there is something new to see; nil: nobody waits for that
	lineIn  time.Time     // paced: when the line from the host is free
	lineOut time.Time     // and the line to it
	cpu     time.Time     // and the chip itself
	cost    time.Duration // of the command in hand
	late    time.Duration // of the next reply, by a fault
	slip    time.Duration // by which the reader was woken too late for the last bytes
	idle    time.Time     // since when the chip has nothing to do and the host knows; zero: it has
	last    []byte        // the last reply, for the fault that sends it again
}

// wake lets a blocked Read look again.
func (w *wire) wake() {
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// change is closed when there is something new to see.
func (w *wire) change() <-chan struct{} {
	if w.changed == nil {
		w.changed = make(chan struct{})
	}
	return w.changed
}

// cutOff forgets what has not arrived yet: the chip stopped sending.
func (w *wire) cutOff(now time.Time) {
	for i, ch := range w.out {
		if ch.at.After(now) {
			for _, lost := range w.out[i:] {
				w.queued -= len(lost.data)
			}
			w.out = w.out[:i]
			break
		}
	}
	w.cpu, w.lineOut, w.cost = time.Time{}, time.Time{}, 0
}

// unread reports whether an answer is on its way to the host.
func (w *wire) unread() bool {
	return slices.ContainsFunc(w.out, func(ch chunk) bool { return ch.baud == 0 })
}

// hostActs ends the time for which the chip waits for the host.
func (c *Chip) hostActs(now time.Time) {
	c.meter.HostTime += c.wire.waited(now)
	c.wire.idle = time.Time{}
}

// waited is how long the chip has waited for the host by now.
func (w *wire) waited(now time.Time) time.Duration {
	if w.idle.IsZero() {
		return 0
	}
	return max(0, now.Sub(w.idle))
}

// busy adds to what the command in hand takes.
func (c *Chip) busy(d time.Duration) { c.wire.cost += d }

// reply sends bytes of the loader: as the host's UART hears them now.
func (c *Chip) reply(p []byte) {
	if c.port != nil {
		p = garble(p, c.baud, c.port.rate())
	}
	c.emit(chunk{data: p})
}

// print sends console text. A host that tunes in before it reads gets it clean.
func (c *Chip) print(text string) {
	c.meter.ConsoleBytes += len(text)
	const piece = 64 // bytes that arrive together when paced
	for c.opts.Pace && len(text) > piece {
		c.emit(chunk{data: []byte(text[:piece]), baud: c.baud})
		text = text[piece:]
	}
	c.emit(chunk{data: []byte(text), baud: c.baud})
}

func (c *Chip) emit(ch chunk) {
	w := &c.wire
	c.meter.BytesOut += len(ch.data)
	now := time.Now()
	delay := w.late + c.opts.Latency
	w.late = 0
	if c.opts.Pace {
		w.cpu = later(later(w.cpu, w.lineIn), now.Add(-w.slip)).Add(w.cost)
		w.cost = 0
		w.lineOut = later(w.cpu, w.lineOut).Add(c.opts.Times.onWire(len(ch.data), c.baud))
		ch.at = w.lineOut.Add(delay)
	} else if delay > 0 {
		ch.at = now.Add(delay)
	}
	if ch.baud == 0 || c.mode == running { // not the text of a chip that waits in its loader
		w.idle = later(ch.at, now)
	}
	if c.port == nil || w.queued+len(ch.data) > maxQueued || len(ch.data) == 0 {
		return
	}
	w.out = append(w.out, ch)
	w.queued += len(ch.data)
	w.wake()
}

// take moves what has arrived into p.
func (w *wire) take(p []byte, now time.Time, rate func() float64) (n int) {
	for n < len(p) && len(w.out) > 0 && !w.out[0].at.After(now) {
		ch := &w.out[0]
		if w.slip = 0; !ch.at.IsZero() {
			w.slip = min(now.Sub(ch.at), maxSlip)
		}
		if ch.baud != 0 {
			ch.data, ch.baud = garble(ch.data, ch.baud, rate()), 0
		}
		k := copy(p[n:], ch.data)
		n += k
		w.queued -= k
		if ch.data = ch.data[k:]; len(ch.data) == 0 {
			w.out[0] = chunk{}
			if w.out = w.out[1:]; len(w.out) == 0 {
				w.out = nil
			}
		}
	}
	return n
}

// garble is what a UART at the rate to makes of bytes sent at the rate from: the same
// bytes if the two are close or one follows the other, else the same garbage each time.
func garble(p []byte, from, to float64) []byte {
	if from == 0 || to == 0 || math.Abs(from-to) <= maxMismatch*from {
		return p
	}
	bad := make([]byte, len(p))
	for i, b := range p {
		bad[i] = bits.Reverse8(b)>>1 | 0x80
		if bad[i] == 0xc0 {
			bad[i] = 0xe0 // no frame comes out of it
		}
	}
	return bad
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
