package flow_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"station/internal/esploader"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/sim"
)

// withRAM is a product whose images our loader in RAM writes.
func withRAM(p product) product {
	j := *p.job
	j.Flash.Loader, j.Flash.Baud = job.LoaderRAM, 921600
	p.name, p.job = p.name+", loader in RAM", &j
	p.options.LeastRAM = 1 // the images are small
	return p
}

// ramFaults are what can go wrong while the loader in RAM runs, by the number of
// the byte that it hits.
var ramFaults = []struct {
	class string
	fault func(at int) sim.Fault
}{
	{"power goes", func(at int) sim.Fault { return sim.Fault{Kind: sim.CutCode, At: at} }},
	{"the cable is pulled", func(at int) sim.Fault { return sim.Fault{Kind: sim.UnplugCode, At: at} }},
	{"the code hangs", func(at int) sim.Fault { return sim.Fault{Kind: sim.HangCode, At: at} }},
	{"the chip restarts into its loader", func(at int) sim.Fault { return sim.Fault{Kind: sim.RestartCode, At: at} }},
	{"a byte to the chip is lost", func(at int) sim.Fault { return sim.Fault{Kind: sim.DropCodeByte, At: at} }},
	{"a byte to the chip arrives twice", func(at int) sim.Fault { return sim.Fault{Kind: sim.DoubleCodeByte, At: at} }},
	{"a byte to the chip is changed", func(at int) sim.Fault { return sim.Fault{Kind: sim.ChangeCodeByte, At: at, XOR: 1 << (at % 8)} }},
	{"ten thousand bytes to the chip are lost", func(at int) sim.Fault { return sim.Fault{Kind: sim.DropCodeByte, At: at, Times: 10_000} }},
	{"every byte to the chip is changed", func(at int) sim.Fault { return sim.Fault{Kind: sim.ChangeCodeByte, At: at, Times: -1} }},
	{"a byte of an answer is changed", func(at int) sim.Fault { return sim.Fault{Kind: sim.ChangeCodeTalk, At: 1 + at/60} }},
	{"a byte of an answer is lost", func(at int) sim.Fault { return sim.Fault{Kind: sim.DropCodeTalk, At: 1 + at/60} }},
	{"no answer comes any more", func(at int) sim.Fault { return sim.Fault{Kind: sim.DropCodeTalk, At: 1 + at/60, Times: -1} }},
}

// Each fault at many bytes of what the loader in RAM is sent: the device passes,
// through the ROM where it must, or is put back and passes. No key stays in a RAM
// that kept its power.
func TestWireRAM(t *testing.T) {
	all := products(t)
	var m matrix
	m.fill(t, func(l *lab, try tryFunc) {
		list := []product{withRAM(all["release"]), withRAM(all["release, coding 3/4"])}
		if racetest.Enabled {
			list = list[:1]
		}
		for _, p := range list {
			ref, bytes, err := l.undisturbedRAM(p)
			if err != nil {
				t.Error(err)
				return
			}
			points, stride := 4, 16
			if p.chip.Coding == 1 { // as any other but for its key
				points, stride = 1, 64
			}
			if racetest.Enabled {
				points, stride = 1, 4*raceStride
			}
			rnd := rand.New(rand.NewPCG(1, uint64(bytes)))
			for i, w := range ramFaults {
				if racetest.Enabled && i%4 != 2 {
					continue
				}
				for range points {
					at := 1 + rnd.IntN(bytes)
					try(w.class, p, func() *trial { return l.disturbRAM(p, w.fault(at), ref) })
				}
			}
			for k := range ref.sent { // what the ROM is asked before and after it
				if k%stride != 0 {
					continue
				}
				try("power goes before a command", p, func() *trial { return l.cut(p, sim.Fault{Kind: sim.CutBefore, At: k + 1}) })
				try("a reply is lost", p, func() *trial { return l.disturb(p, sim.Fault{Kind: sim.DropReply, At: k + 1}, ref) })
				if k%(2*stride) != 0 {
					continue
				}
				try("the chip restarts into its loader before a command", p, func() *trial {
					return l.restart(p, sim.Fault{Kind: sim.RestartLoader, At: k + 1}, false, ref)
				})
				try("the chip restarts into its application before a command", p, func() *trial {
					return l.restart(p, sim.Fault{Kind: sim.RestartApp, At: k + 1}, false, ref)
				})
				try("the station is stopped at a command", p, func() *trial { return l.stop(p, k+1) })
			}
			for range points {
				at := 1 + rnd.IntN(bytes)
				try("the station is stopped while the code runs", p, func() *trial { return l.stopRAM(p, at) })
			}
			for _, c := range flashLies {
				try(c.class, p, func() *trial { return l.lie(p, c) })
			}
			for _, c := range fullLies {
				try(c.class, p, func() *trial { return l.lie(filled(p), c) })
			}
		}
	})
	m.publish(t, "ram")
}

// stopRAM is one device whose station stops once the code was sent so many bytes.
func (l *lab) stopRAM(p product, at int) *trial {
	tr := l.trial(p)
	ctx, cancel := context.WithCancel(l.ctx)
	defer cancel()
	tr.ctx = ctx
	tr.wrap = func(port *sim.Port) esploader.Port { return stopping{port, tr.chip, at, cancel} }
	if got := how(tr.visit()); got != "RETRY E-STOPPED" {
		tr.fault("stopping gives %s: %v", got, tr.last().Failure)
	}
	tr.ctx, tr.wrap = l.ctx, nil
	tr.keyless()
	return tr
}

// stopping ends a context once code in RAM was sent so many bytes.
type stopping struct {
	*sim.Port
	chip *sim.Chip
	at   int
	stop func()
}

func (s stopping) Write(p []byte) (int, error) {
	n, err := s.Port.Write(p)
	if s.chip.Meter().Code.BytesIn >= s.at {
		s.stop()
	}
	return n, err
}

// undisturbedRAM seals one device, and tells how many bytes the code was sent.
func (l *lab) undisturbedRAM(p product) (run, int, error) {
	ref, err := l.undisturbed(p)
	if err != nil {
		return ref, 0, err
	}
	tr := l.trial(p)
	tr.visit()
	bytes := tr.chip.Meter().Code.BytesIn
	tr.keyless()
	tr.finish()
	return ref, bytes, nil
}

func (l *lab) disturbRAM(p product, f sim.Fault, ref run) *trial {
	tr := l.trial(p, f)
	begin := time.Now()
	out := tr.visit()
	if d := time.Since(begin) - ref.took; d > time.Minute {
		tr.fault("it took %v longer than undisturbed", d)
	}
	if !fair(out) {
		tr.fault("a disturbed wire gives %s: %v", out.Verdict, out.Failure)
	}
	if tr.chip.Meter().Code.Time == 0 {
		tr.fault("the loader in RAM was not used")
	}
	tr.keyless()
	return tr
}

// keyless checks that nothing is left of what the loader held: the key, its tweaked
// form, images, its stack.
func (tr *trial) keyless() {
	for i, b := range tr.chip.RAM(0x3ffb0000, 0x1c000) {
		if b != 0 {
			tr.fault("the loader in RAM has left %#x at %#x", b, 0x3ffb0000+i)
			return
		}
	}
}
