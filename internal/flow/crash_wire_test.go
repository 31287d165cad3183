package flow_test

import (
	"testing"
	"time"

	"station/internal/flow"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/slip"
)

// wireFaults are what a line can do to one command and its reply. Offsets into
// frames follow from the command's number, so that all bytes have their turn:
// size is that of the command's frame.
var wireFaults = []struct {
	class string
	fault func(k, size int) sim.Fault
}{
	{"a command is lost", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.DropFrame} }},
	{"a command arrives twice", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.DoubleFrame} }},
	{"a byte to the chip is lost", func(k, size int) sim.Fault { return sim.Fault{Kind: sim.DropByte, Byte: 53 * k % size} }},
	{"a byte to the chip arrives twice", func(k, size int) sim.Fault { return sim.Fault{Kind: sim.DoubleByte, Byte: 53 * k % size} }},
	{"a byte to the chip is changed", func(k, size int) sim.Fault {
		return sim.Fault{Kind: sim.ChangeByte, Byte: 53 * k % size, XOR: 1 << (k % 8)}
	}},
	{"a reply is lost", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.DropReply} }},
	{"a reply comes twice", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.DoubleReply} }},
	{"a reply is 60 ms late", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.LateReply, Delay: 60 * time.Millisecond} }},
	{"a reply is 5 s late", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.LateReply, Delay: 5 * time.Second} }},
	{"a reply is cut short", func(k, _ int) sim.Fault { return sim.Fault{Kind: sim.CutReply, Byte: k % 14} }},
	{"a byte of a reply is changed", func(k, _ int) sim.Fault {
		return sim.Fault{Kind: sim.ChangeReply, Byte: k % 14, XOR: 1 << (k % 8)}
	}},
	{"a byte of a reply is lost", func(k, _ int) sim.Fault { return sim.Fault{Kind: sim.DropReplyByte, Byte: k % 14} }},
	{"a byte of a reply comes twice", func(k, _ int) sim.Fault { return sim.Fault{Kind: sim.DoubleReplyByte, Byte: k % 14} }},
	{"the reply before comes once more", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.StaleReply} }},
	{"somebody else's reply comes first", func(k, _ int) sim.Fault { return sim.Fault{Kind: sim.ForeignReply, Data: foreign(k)} }},
	{"console text comes first", func(_, _ int) sim.Fault {
		return sim.Fault{Kind: sim.TextReply, Text: "E (31) spi_flash: nothing to see\r\n"}
	}},
	{"the reply is a stub's", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.StubReply} }},
	{"the loader hangs", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.Silence} }},
	{"the adapter vanishes", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.Vanish} }},
	{"the cable is pulled", func(_, _ int) sim.Fault { return sim.Fault{Kind: sim.Unplug} }},
}

// aboutTheChip are the first commands of a run: who the chip is, its flash, its
// fuses for the first time.
const aboutTheChip = 60

// foreign is a well-formed reply that nobody asked for: to READ_REG, with a
// value, or to another command.
func foreign(k int) []byte {
	op := []byte{0x0a, 0x09, 0x03, 0x08}[k%4]
	return slip.Append(nil, []byte{1, op, 4, 0, 0xef, 0xbe, 0xad, 0xde, 0, 0, 0, 0})
}

// Each fault at each command of a whole run: the device passes, or is put back
// and passes, with the key first assigned and never a wrong fuse. Of the many
// commands that change nothing each meets one or two of the faults.
func TestWire(t *testing.T) {
	p := products(t)["release and lock"]
	var m matrix
	m.fillAlong(t, p, func(l *lab, try tryFunc, ref run) {
		disturb := func(class string, k int, f sim.Fault) {
			f.At = k
			try(class, p, func() *trial { return l.disturb(p, f, ref) })
		}
		for i, w := range wireFaults {
			for n, c := range ref.sent {
				if racetest.Enabled && (n-i)%(4*raceStride) != 0 || n%12 != i%12 && !c.writes() {
					continue
				}
				disturb(w.class, n+1, w.fault(n+1, c.size))
			}
		}
		for n, c := range ref.sent {
			for i := 0; i < 10 && c.op == writeReg && !racetest.Enabled; i++ {
				disturb("a byte of a register write is changed", n+1,
					sim.Fault{Kind: sim.ChangeByte, Byte: (53*n + i*c.size/10) % c.size, XOR: 1 << (n % 8)})
			}
			for bit := 0; bit < 16*8 && c.op == flashBegin && !racetest.Enabled; bit++ { // what to erase, and where
				disturb("a bit is wrong in what to erase", n+1, sim.Fault{Kind: sim.ChangeByte, Byte: 9 + bit/8, XOR: 1 << (bit % 8)})
			}
			for bit := n % 4; bit < 32 && n < aboutTheChip && !racetest.Enabled; bit += 4 {
				disturb("a bit is wrong in what the chip tells of itself", n+1,
					sim.Fault{Kind: sim.ChangeReply, Byte: 5 + bit/8, XOR: 1 << (bit % 8)})
			}
		}
	})
	m.publish(t, "wire")
}

// disturb is one device whose wire has one fault.
func (l *lab) disturb(p product, f sim.Fault, ref run) *trial {
	tr := l.trial(p, f)
	commands := 0
	tr.options.Trace = func(dir byte, _ []byte) {
		if dir == '>' {
			commands++
		}
	}
	begin := time.Now()
	out := tr.visit()
	tr.options.Trace = nil
	if more := commands - len(ref.sent); more > 400 {
		tr.fault("%d commands more than undisturbed", more)
	}
	if d := time.Since(begin) - ref.took; d > time.Minute {
		tr.fault("it took %v longer than undisturbed", d)
	}
	if !fair(out) {
		tr.fault("a disturbed wire gives %s: %v", out.Verdict, out.Failure)
	}
	return tr
}

// fair is a verdict that a wire's fault may bring: none, or one that is gone
// when the device is put back.
func fair(out flow.Outcome) bool {
	return out.Verdict == record.Pass || out.Verdict == record.Retry || out.Failure.Code == "E-CLOSED"
}
