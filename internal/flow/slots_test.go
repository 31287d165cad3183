package flow_test

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/job"
	"station/internal/racetest"
	"station/internal/sim"
	"station/internal/station"
)

// lane is one slot of a fixture with one paced chip, and how its wire was used
// while the flash was written.
type lane struct {
	chip         *sim.Chip
	tap          *tap
	begin, end   time.Time
	before, used sim.Meter
}

// busy is the share of the time in which wire or chip were at work.
func (l *lane) busy() float64 {
	return 1 - l.used.HostTime.Seconds()/l.end.Sub(l.begin).Seconds()
}

// runLanes seals a blank chip in each of so many slots, all at once and in real
// time as far as wire and chip go.
func (s *bench) runLanes(t testing.TB, slots int) []*lane {
	t.Helper()
	lanes := map[string]*lane{}
	ram := s.Job.Flash.Loader == job.LoaderRAM
	line := &flow.Line{Runner: *s.Runner()}
	var mu sync.Mutex
	for n := range slots {
		chip, err := sim.New(sim.Options{MAC: chip.MAC(station.VirtualMAC(n)), Pace: true})
		if err != nil {
			t.Fatal(err)
		}
		defer chip.Close()
		name := fmt.Sprint(n + 1)
		lanes[name] = &lane{chip: chip, tap: &tap{apart: ram}}
		line.Slots = append(line.Slots, flow.Slot{Name: name, Port: "sim://" + name, Next: lanes[name].plugIn})
	}
	line.Emit = func(e flow.Event) {
		mu.Lock()
		defer mu.Unlock()
		l := lanes[e.Slot]
		if e.Step != "flash" || l == nil {
			return
		}
		switch e.Event {
		case flow.StepStarted:
			l.begin, l.before = time.Now(), l.chip.Meter()
		case flow.StepDone:
			l.end, l.used = time.Now(), l.chip.Meter().Since(l.before)
		}
	}
	if counts := line.Run(t.Context()); counts.Passed != slots {
		t.Fatalf("%d of %d passed: %+v", counts.Passed, slots, counts)
	}
	var all []*lane
	for n := range slots {
		all = append(all, lanes[fmt.Sprint(n+1)])
	}
	return all
}

// plugIn opens the chip's port one time.
func (l *lane) plugIn(context.Context, func()) (loader flow.Loader, err error) {
	if l.tap.Port != nil {
		return nil, io.EOF
	}
	if l.tap.Port, err = l.chip.Open(); err != nil {
		return nil, err
	}
	return esploader.New(l.tap, esploader.Options{}), nil
}

// With a machine that takes no time, no slot ever waits for another one, for
// the token, the ledger or the station, and writing takes what the model says.
func TestSlotsKeepTheirWiresBusy(t *testing.T) {
	s := newBench(t, flowtest.ExampleJob)
	slots := 32
	if racetest.Enabled {
		slots = 4
	}
	synctest.Test(t, func(t *testing.T) {
		for n, l := range s.runLanes(t, slots) {
			model := l.used.Model()[2] // 921600 baud
			took := l.end.Sub(l.begin).Seconds()
			if l.busy() < 0.98 || model.Total/took < 0.98 || model.Baud != s.Job.Flash.Baud {
				t.Errorf("slot %d: busy %.4f, %.2f s of writing, %.2f by the model at %d baud", n+1, l.busy(), took, model.Total, model.Baud)
			}
		}
	})
}

// benchSlots is how many.
const benchSlots = 32

// BenchmarkSlotsRAM is BenchmarkSlots with the loader in RAM, at an eighth of the
// rate: to execute its code for each of the chips takes most of two cores as it is. What
// the station itself takes is counted apart, and told of the time at 921600 baud.
func BenchmarkSlotsRAM(b *testing.B) {
	s := newBench(b, realistic(b, "baud = 921600", "baud = 115200\nloader = \"ram\""))
	for b.Loop() {
		s.OpenLedger()
		cpu, begin := cpuTime(), time.Now()
		lanes := s.runLanes(b, benchSlots)
		took, used := time.Since(begin), cpuTime()-cpu
		least, sum, inside, fast := 1.0, 0.0, time.Duration(0), 0.0
		for _, l := range lanes {
			code := l.used.Code
			share := float64(10*code.BytesIn) / float64(code.Baud) / code.Time.Seconds()
			least, sum, inside = min(least, share), sum+share, inside+l.tap.inside
			fast += l.chip.Meter().Model()[2].Total
		}
		own := used - inside
		fmt.Printf("\n\n%d slots with the loader in RAM at %d baud on %d cores\n", benchSlots, s.Job.Flash.Baud, runtime.GOMAXPROCS(0))
		tableHead("", "")
		tableLine("devices sealed in", fmt.Sprintf("%.1f s", took.Seconds()))
		tableLine("wire busy while the code runs, least slot", fmt.Sprintf("%.2f %%", 100*least))
		tableLine("mean of the slots", fmt.Sprintf("%.2f %%", 100*sum/benchSlots))
		tableLine("CPU of the virtual chips", fmt.Sprintf("%.1f s", inside.Seconds()))
		tableLine("CPU of the station, a device", fmt.Sprintf("%.0f ms, %.1f %% of a core at 921600 baud", own.Seconds()*1000/benchSlots, 100*own.Seconds()/fast))
		b.ReportMetric(100*own.Seconds()/fast, "%-of-a-core")
	}
}

// BenchmarkSlots runs 32 slots of chips that take as long as real ones at
// 921600 baud, and prints what is left of the line rate.
func BenchmarkSlots(b *testing.B) {
	s := newBench(b, flowtest.ExampleJob)
	const slots = benchSlots
	for b.Loop() {
		s.OpenLedger()
		peak := watchMemory()
		cpu, begin := cpuTime(), time.Now()
		lanes := s.runLanes(b, slots)
		took, used, memory := time.Since(begin), cpuTime()-cpu, peak()
		least, sum, turns, blocks := 1.0, 0.0, time.Duration(0), 0
		for _, l := range lanes {
			least, sum = min(least, l.busy()), sum+l.busy()
			turns, blocks = turns+l.tap.turns, blocks+l.tap.blocks
		}
		fmt.Printf("\n\n%d slots at %d baud on %d cores\n", slots, s.Job.Flash.Baud, runtime.GOMAXPROCS(0))
		tableHead("", "")
		tableLine("devices sealed in", fmt.Sprintf("%.1f s", took.Seconds()))
		tableLine("wire and chip busy while writing, least slot", fmt.Sprintf("%.2f %%", 100*least))
		tableLine("mean of the slots", fmt.Sprintf("%.2f %%", 100*sum/slots))
		tableLine("from an answer to the next block, the station's own", (turns / time.Duration(blocks)).Round(time.Microsecond))
		tableLine("CPU, virtual chips included", fmt.Sprintf("%.1f s, %.0f %% of one core", used.Seconds(), 100*used.Seconds()/took.Seconds()))
		tableLine("memory in use by Go, virtual chips included", fmt.Sprintf("%d MiB, of which the chips' flash is %d MiB", memory>>20, slots*4))
		b.ReportMetric(100*least, "%-busy-least")
		b.ReportMetric(used.Seconds()/slots, "cpu-s/device")
	}
}

// threadTime is the CPU time of the thread that calls it.
func threadTime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t) != nil {
		return 0
	}
	return time.Duration(t.Nano())
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// watchMemory returns the most that was in use since.
func watchMemory() (peak func() uint64) {
	stop, most := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		var top uint64
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			top = max(top, m.HeapInuse+m.StackInuse)
			select {
			case <-tick.C:
			case <-stop:
				most <- top
				return
			}
		}
	}()
	return func() uint64 { close(stop); return <-most }
}
