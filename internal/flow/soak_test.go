package flow_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/hsm/hsmtest"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/station"
)

// A line of eight slots works through devices that meet every kind of fault, on
// a token that is pulled now and then, with a station that is stopped and
// started again. No key is used twice, no device is lost, each is sealed or set
// aside with a reason, and nothing is left behind.
//
// SOAK_SEED and SOAK_DEVICES make it another or a longer one: make soak.
func TestSoak(t *testing.T) {
	seed, devices := racetest.Setting(t, "SOAK_SEED", 1), racetest.Setting(t, "SOAK_DEVICES", 60)
	if racetest.Enabled && os.Getenv("SOAK_DEVICES") == "" {
		devices = 24
	}
	all := products(t)
	s := &soak{t: t, seed: uint64(seed), keys: map[string]int{}, ends: map[string]int{}}
	for _, name := range []string{"release and lock", "release and lock, coding 3/4"} {
		s.products = append(s.products, all[name])
	}
	before := leavings{}
	inLab(t, func(l *lab) {
		s.lab = l
		before = left()
		const batch = 20
		var heap []uint64
		for done := 0; done < devices; done += batch {
			s.batch(done, min(batch, devices-done))
			heap = append(heap, left().heap)
		}
		// The first batch has filled what is filled once.
		if first, last := heap[0], heap[len(heap)-1]; last > first+4<<20 {
			t.Errorf("the memory in use grew from %d to %d bytes", first, last)
		}
	})
	if after := left(); after.goroutines > before.goroutines || after.files > before.files {
		t.Errorf("left behind: %+v, before %+v", after, before)
	}
	ended := 0
	for _, n := range s.ends {
		ended += n
	}
	if ended != devices {
		t.Errorf("%d of %d devices came to an end", ended, devices)
	}
	if devices >= 60 && (s.halts == 0 || s.stopped == 0) {
		t.Errorf("the line was halted %d times, %d visits were stopped: nothing is shown", s.halts, s.stopped)
	}
	t.Logf("seed %d, %d devices, %d visits, %d halts, %d visits stopped: %v", seed, devices, s.visits, s.halts, s.stopped, s.ends)
}

// leavings is what a program can leave behind.
type leavings struct {
	goroutines, files int
	heap              uint64
}

func left() (l leavings) {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	files, _ := os.ReadDir("/proc/self/fd") // empty where there is none
	return leavings{runtime.NumGoroutine(), len(files), m.HeapAlloc}
}

type soak struct {
	t        *testing.T
	lab      *lab
	seed     uint64
	products []product

	mu      sync.Mutex
	fresh   int        // devices of the batch that have not come yet
	waiting []*patient // those to be put back
	inSlots int
	changed chan struct{} // closed when any of the above changes
	slots   map[string]*patient
	keys    map[string]int // key ID to device
	ends    map[string]int
	visits  int
	halts   int // of the line, because the token was away
	stopped int // visits, because the station was
}

// patient is a device with the faults that it will meet.
type patient struct {
	*trial
	rnd    *rand.Rand
	odd    bool // it has a defect of its own
	visits int
	out    *flow.Outcome // of the visit under way
}

// batch brings n devices to their end, the first of which has this number.
func (s *soak) batch(first, n int) {
	s.fresh, s.changed, s.slots = n, make(chan struct{}), map[string]*patient{}
	ctx, cancel := context.WithCancel(s.lab.ctx)
	var outside sync.WaitGroup
	outside.Go(func() { s.pullToken(ctx) })
	rnd := rand.New(rand.NewPCG(s.seed, uint64(first)))
	for s.more() {
		running, stop := context.WithCancel(ctx)
		timer := time.AfterFunc(time.Duration(3+rnd.IntN(10))*time.Second, stop)
		s.line().Run(running)
		timer.Stop()
		stop()
	}
	cancel()
	outside.Wait()
}

func (s *soak) more() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh+len(s.waiting) > 0
}

func (s *soak) line() *flow.Line {
	line := &flow.Line{
		Runner: flow.Runner{Job: s.products[0].job, Keys: station.Keys{Token: s.lab.token}, Ledger: s.lab.ledger, Station: "test", Simulated: true, Emit: s.hear},
	}
	line.Healthy = func(ctx context.Context) error { return station.Keys{Token: s.lab.token}.Ready(ctx, line.Job) }
	for i := range 8 {
		name := fmt.Sprint(i + 1)
		line.Slots = append(line.Slots, flow.Slot{Name: name, Port: "sim://" + name, Next: func(ctx context.Context, _ func()) (flow.Loader, error) {
			return s.next(ctx, name)
		}})
	}
	return line
}

// pullToken takes the token away for a moment now and then.
func (s *soak) pullToken(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(5 * time.Second):
		}
		back := hsmtest.Away(s.t, s.lab.config)
		time.Sleep(2 * time.Second)
		back()
	}
}

// next puts the next device into a slot.
func (s *soak) next(ctx context.Context, slot string) (flow.Loader, error) {
	for {
		s.mu.Lock()
		p, changed, over := s.take(slot), s.changed, s.fresh+len(s.waiting)+s.inSlots == 0
		s.mu.Unlock()
		switch {
		case p != nil:
			wire, err := p.chip.Open()
			if err != nil {
				return nil, err
			}
			return &inSlot{esploader.New(wire, esploader.Options{}), func() { s.leave(slot, p) }}, nil
		case over:
			return nil, io.EOF
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// take is the next device, nil where all are in slots. The caller holds mu.
func (s *soak) take(slot string) (p *patient) {
	switch {
	case len(s.waiting) > 0:
		p = s.waiting[0]
		s.waiting = slices.Delete(s.waiting, 0, 1) // which forgets it: it is 4 MiB
	case s.fresh > 0:
		s.fresh--
		p = s.patient()
	default:
		return nil
	}
	s.inSlots++
	s.slots[slot] = p
	return p
}

// inSlot tells when a visit is over.
type inSlot struct {
	*esploader.Loader
	left func()
}

func (i *inSlot) Close() error {
	err := i.Loader.Close()
	i.left()
	return err
}

// hear keeps the verdict of a visit.
func (s *soak) hear(e flow.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case e.Event == flow.LineHalted:
		s.halts++
	case e.Code == "E-STOPPED":
		s.stopped++
	}
	if e.Verdict == "" {
		return
	}
	out := &flow.Outcome{Verdict: e.Verdict, Already: e.Already}
	if e.Code != "" {
		out.Failure = &flow.Failure{Code: e.Code, Err: errors.New(e.Detail)}
	}
	s.slots[e.Slot].out = out
}

// leave takes a device out of its slot: to be put back, or to its end.
func (s *soak) leave(slot string, p *patient) {
	s.mu.Lock()
	out := p.out
	p.out = nil
	s.mu.Unlock()
	again := out == nil || out.Verdict == record.Station
	if out != nil {
		p.outs = append(p.outs, *out)
		again = again || p.retried() && p.visits < 12
	}
	if again {
		s.disturb(p)
	} else {
		s.end(p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.slots, slot)
	if again {
		s.waiting = append(s.waiting, p)
	}
	s.inSlots--
	close(s.changed)
	s.changed = make(chan struct{})
}

// end checks the device as it is in the end.
func (s *soak) end(p *patient) {
	p.outs = p.outs[len(p.outs)-1:]
	end := p.finish()
	d, _, err := p.ledger.Device(p.mac)
	if err != nil {
		p.fault("ledger: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other, used := s.keys[d.FlashKey().ID]; used && d.FlashKey().ID != "" {
		p.fault("its key is device %d's", other)
	}
	s.keys[d.FlashKey().ID] = p.number
	if !p.odd && end != "sealed" && end != "QUARANTINE E-CLOSED" {
		p.fault("nothing is wrong with it: %v", p.last().Failure)
	}
	s.ends[end]++
	s.visits += p.visits
	for _, w := range p.wrong {
		s.t.Errorf("device %d of seed %d: %s: %v", p.number, s.seed, end, w)
	}
}
