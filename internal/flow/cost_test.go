package flow_test

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/station"
)

// tap is a chip's port that sees what the chip cannot: escaped bytes, how long
// the lines held it in reset, and what passes between an answer and the next
// block.
type tap struct {
	*sim.Port
	escapes  int
	reset    time.Duration // from EN low to the first byte after, either way
	since    time.Time
	released bool
	answered time.Time
	turns    time.Duration // from an answer to a block
	apart    bool          // to measure
	inside   time.Duration // CPU time that the virtual chip takes, which is executed in calls of its port
	blocks   int
}

func (p *tap) SetLines(dtr, rts bool) error {
	if rts && !dtr && p.since.IsZero() {
		p.since = time.Now()
	}
	p.released = !rts && !dtr
	return p.Port.SetLines(dtr, rts)
}

func (p *tap) awake() {
	if !p.since.IsZero() && p.released {
		p.reset += time.Since(p.since)
		p.since = time.Time{}
	}
}

func (p *tap) Write(b []byte) (int, error) {
	p.awake()
	if len(b) > 0x1000 && !p.answered.IsZero() {
		p.turns, p.blocks = p.turns+time.Since(p.answered), p.blocks+1
	}
	p.escapes += strings.Count(string(b), "\xdb")
	defer p.measure()()
	return p.Port.Write(b)
}

// measure begins to count the CPU time of this thread, until the function that it returns.
func (p *tap) measure() func() {
	if !p.apart {
		return func() {}
	}
	runtime.LockOSThread()
	begin := threadTime()
	return func() {
		p.inside += threadTime() - begin
		runtime.UnlockOSThread()
	}
}

func (p *tap) Read(b []byte) (int, error) {
	end := p.measure()
	n, err := p.Port.Read(b)
	end()
	if n > 0 {
		p.awake()
		p.answered = time.Now()
	}
	return n, err
}

// cost is what a visit, or a step of one, has cost.
type cost struct {
	step string
	sim.Meter
	total   time.Duration
	reset   time.Duration
	escapes int
}

// minus is what came after an earlier cost.
func (c cost) minus(before cost) cost {
	return cost{step: c.step, Meter: c.Meter.Since(before.Meter), total: c.total - before.total,
		reset: c.reset - before.reset, escapes: c.escapes - before.escapes}
}

// visitOf puts the chip into a slot once and returns what each step has cost,
// and last the whole, to the closing of the port.
func (s *bench) visitOf(t testing.TB, chip *sim.Chip, o esploader.Options) []cost {
	t.Helper()
	port, err := chip.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &tap{Port: port}
	begin, zero := time.Now(), chip.Meter()
	now := func(step string) cost {
		return cost{step: step, Meter: chip.Meter().Since(zero), total: time.Since(begin), reset: p.reset, escapes: p.escapes}
	}
	var steps []cost
	last := now("")
	r := s.Runner()
	emit := r.Emit
	r.Emit = func(e flow.Event) {
		emit(e)
		if e.Event == flow.StepDone {
			c := now(string(e.Step))
			steps, last = append(steps, c.minus(last)), c
		}
	}
	if out := r.Device(t.Context(), "1", "sim://1", esploader.New(p, o)); out.Verdict != record.Pass {
		t.Fatalf("got %s %v", out.Verdict, out.Failure)
	}
	return append(steps, now("all"))
}

// stored is how many bytes the flash holds of the job.
func (s *bench) stored() (n int) {
	for _, r := range s.Job.Regions {
		n += r.Size
	}
	return n
}

// The lock of a job that closes its devices: reconnects and two more burns.
const lockEdit = "mode = \"release\"\n[security.fuses]\nUART_DOWNLOAD_DIS = 1\n\"WR_DIS.RD_DIS\" = 1"

// What a device costs on the wire, by the virtual chip's own counters.
func TestCostOnTheWire(t *testing.T) {
	check := func(t *testing.T, what string, c cost, maxSent, maxTrips int) {
		t.Helper()
		if c.BytesIn > maxSent || c.RoundTrips > maxTrips {
			t.Errorf("%s: %d bytes, %d round trips; want at most %d, %d", what, c.BytesIn, c.RoundTrips, maxSent, maxTrips)
		}
	}
	last := func(all []cost) cost { return all[len(all)-1] }

	t.Run("release", func(t *testing.T) {
		s := newBench(t, flowtest.ExampleJob)
		n := s.stored()
		mac := chip.MAC(station.VirtualMAC(1))
		chip := flowtest.NewChip(t, sim.Options{MAC: mac})
		c := last(s.visitOf(t, chip, esploader.Options{}))
		check(t, "blank", c, n*102/100+c.escapes, n/4096+200)
		if c.SectorsErased != 0 || c.FlashBlocks > n/4096+len(s.Job.Regions) {
			t.Errorf("blank: %d sectors erased, %d blocks", c.SectorsErased, c.FlashBlocks)
		}
		check(t, "sealed before", last(s.visitOf(t, chip, esploader.Options{})), 4096, 60)

		s.OpenLedger() // of another station, which derives the same key
		chip = flowtest.NewChip(t, sim.Options{MAC: mac, Flash: chip.Flash()})
		c = last(s.visitOf(t, chip, esploader.Options{}))
		check(t, "images there", c, 64<<10, 200)
		if c.PagesProgrammed != 0 {
			t.Errorf("images there: %d pages programmed", c.PagesProgrammed)
		}
	})
	t.Run("closed", func(t *testing.T) {
		s := newBench(t, flowtest.EditJob(t, `mode = "release"`, lockEdit))
		n := s.stored()
		c := last(s.visitOf(t, flowtest.NewChip(t, sim.Options{}), esploader.Options{}))
		check(t, "blank", c, n*103/100+c.escapes, n/4096+200)
	})
}

// mostCalls is how many calls into the token's module a device may cost.
const mostCalls = 40

// What a device costs at the token, which may be behind a network.
func TestCallsIntoTheToken(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	before := s.Token.Calls()
	s.visitOf(t, flowtest.NewChip(t, sim.Options{}), esploader.Options{})
	if n := s.Token.Calls() - before; n > mostCalls {
		t.Errorf("%d calls, want at most %d", n, mostCalls)
	}
}

// With a machine that takes no time at all, a visit lasts as long as its resets:
// nothing is slept, polled or waited out besides.
func TestNoTimeButTheResets(t *testing.T) {
	for name, c := range map[string]struct {
		job    string
		resets []time.Duration
	}{
		"release": {flowtest.ExampleJob, []time.Duration{toLoader, toApp}},
		"closed":  {flowtest.EditJob(t, `mode = "release"`, lockEdit), []time.Duration{toLoader, toApp, toLoader, toApp}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newBench(t, c.job)
			synctest.Test(t, func(t *testing.T) {
				chip, err := sim.New(sim.Options{Real: true})
				if err != nil {
					t.Fatal(err)
				}
				defer chip.Close()
				steps := s.visitOf(t, chip, esploader.Options{})
				all := steps[len(steps)-1]
				var want time.Duration
				for _, d := range c.resets {
					want += d
				}
				if all.HostTime != 0 || all.total != all.reset || all.reset > want {
					t.Errorf("%v, of which %v in reset, the chip waited %v; want %v", all.total, all.reset, all.HostTime, want)
				}
			})
		})
	}
}

// The timings of esptool's resets, and for the virtual chip's EN to rise.
const (
	rise     = 2 * time.Millisecond
	toLoader = 100*time.Millisecond + 50*time.Millisecond + rise
	toApp    = 100*time.Millisecond + rise
)
