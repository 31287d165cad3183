package faults

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"station/internal/matrixtest"
	"station/internal/racetest"
	"station/internal/site"
	"station/internal/site/outbox"
)

// kinds are what the site says to its cluster, and by what bytes it is known on the wire.
var kinds = []struct{ name, bytes string }{
	{"make a bench's stream", "STREAM.CREATE.ENTRIES-"},
	{"read a bench's stream", "CONSUMER.CREATE.ENTRIES-"},
	{"how far is the copy?", "STREAM.INFO.ENTRIES-"},
	{"an entry", "Nats-Expected-Last-Sequence: 1\r\n"},
	{"the first entry of a batch", "Nats-Batch-Sequence: 1\r\n"},
	{"an entry inside a batch", "Nats-Batch-Sequence: 600\r\n"},
	{"the end of a batch", "Nats-Batch-Commit"},
	{"whose is a name?", "STREAM.MSG.GET.KV_CLAIMS"},
	{"a name is given", "PUB $KV.CLAIMS."},
	{"what is known of a bench", "PUB $KV.KNOWN."},
	{"whose are which numbers?", "STREAM.MSG.GET.KV_QUOTAS"},
	{"numbers are given", "PUB $KV.QUOTAS."},
	{"who runs the site", "PUB $KV.RUNS."},
}

// atOnce is how many plants there are at the same time: they wait more than they work.
const atOnce = 4

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", strconv.Itoa(atOnce))
	os.Exit(m.Run())
}

// few is how many entries do where the race detector looks on: each goes the same way.
func few(entries int) int {
	if racetest.Enabled {
		return entries / 10
	}
	return entries
}

// trial is one fault that happens to a plant at work.
type trial struct {
	class string
	do    func(p *plant) (end func()) // begins the fault; end waits until it has happened, and mends it
	skew  time.Duration               // of the clock of a bench
}

const good = "all there, once, signed; each name and number given once"

// TestFaults lets everything happen to a site on three servers while two benches work,
// and holds in the end that nothing is lost, nothing is there twice, and no name and no
// number has two owners. It writes docs/site-faults.md.
func TestFaults(t *testing.T) {
	list := trials()
	if racetest.Enabled {
		list = list[10:11] // each starts the same goroutines
	}
	queue := make(chan trial, len(list))
	ends := map[string]matrixtest.Ends{}
	var order []string
	for _, v := range list {
		if ends[v.class] == nil {
			ends[v.class] = matrixtest.Ends{}
			order = append(order, v.class)
		}
		queue <- v
	}
	close(queue)
	var mu sync.Mutex
	t.Run("", func(t *testing.T) {
		for n := range min(atOnce, len(list)) {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				p := newPlant(t)
				for i := 0; ; i++ {
					v, ok := <-queue
					if !ok {
						return
					}
					began := time.Now()
					p.try(fmt.Sprintf("bench-%d", i), v)
					if t.Failed() {
						t.Fatalf("it was: %s; the site said\n%s", v.class, strings.Join(p.heard(), "\n"))
					}
					t.Log(v.class, time.Since(began).Round(time.Millisecond))
					mu.Lock()
					ends[v.class][good]++
					mu.Unlock()
				}
			})
		}
	})
	if t.Failed() || racetest.Enabled {
		return
	}
	var table strings.Builder
	table.WriteString("| what happens | times | how it ends |\n|---|---:|---|\n")
	for _, class := range order {
		cell, n := ends[class].Cell()
		fmt.Fprintf(&table, "| %s | %d | %s |\n", class, n, cell)
	}
	matrixtest.PublishIn(t, "../../../docs/site-faults.md", "faults", table.String(), "go test ./internal/site/faults")
}

func trials() (list []trial) {
	for i, k := range kinds {
		for victim := i % nodes; victim <= i%nodes; victim++ {
			class, empty := "one server is killed at \""+k.name+"\", and started again", i%2 == 1
			if empty {
				class = "one server is killed at \"" + k.name + "\", and replaced by an empty one"
			}
			list = append(list, trial{class: class, do: func(p *plant) func() { return p.killAt(k.bytes, victim, empty) }})
		}
	}
	for i := range 1 {
		list = append(list, trial{class: "all are killed at once, and started again", do: func(p *plant) func() { return p.killAll(kinds[3+i].bytes) }})
	}
	for victim := range 1 {
		for _, v := range []struct {
			class    string
			out, in  bool
			duration time.Duration
		}{
			{"nothing that one server sends arrives, for five seconds", true, false, 0},
			{"nothing arrives at one server, for five seconds", false, true, 0},
			{"one server is cut off in both directions, for five seconds", true, true, 0},
			{"one server is slow: each piece of what it sends and gets takes 20 ms", true, true, 20 * time.Millisecond},
		} {
			list = append(list, trial{class: v.class, do: func(p *plant) func() { return p.cutOff(victim, v.out, v.in, v.duration) }})
		}
		list = append(list, trial{class: "the disk of one server is full", do: func(p *plant) func() { return p.fill(victim) }})
	}
	list = append(list, trial{class: "the process of the site is cut off, and another one takes its place", do: (*plant).takeOver})
	for _, years := range []time.Duration{-10, 10} {
		list = append(list, trial{class: "the clock of a bench is ten years off", skew: years * 365 * 24 * time.Hour, do: func(*plant) func() { return func() {} }})
	}
	return list
}

// try lets two benches work while something happens.
func (p *plant) try(name string, v trial) {
	p.t.Helper()
	end, over := v.do(p), make(chan struct{})
	a, b := p.bench(name+"a", v.skew), p.bench(name+"b", 0)
	a.run()
	b.run()
	defer a.end()
	defer b.end()
	var busy sync.WaitGroup
	both := &batch{name: name, of: map[int]string{}}
	makers := []*maker{{bench: a, batch: both}, {bench: b, batch: both}}
	for _, m := range makers {
		busy.Go(func() {
			if err := m.busy(over); err != nil {
				p.t.Error(err)
			}
		})
	}
	busy.Go(func() { p.race(a, b, name, 5, 5) })
	end()
	close(over)
	busy.Wait()
	p.healthy()
	for _, m := range makers {
		m.again()
	}
	p.useUp(makers...)
	for _, x := range []*bench{a, b} {
		x.settled()
		x.same()
	}
	if p.replaced() {
		p.t.Error("the only process that runs the site took itself for replaced")
	}
}

// busy lets a bench append, sign and lease until the fault is over.
func (m *maker) busy(over <-chan struct{}) error {
	m.p.reaches(m.bench, 1)
	first := m.work(1) // alone, not in a batch
	m.p.reaches(m.bench, 2)
	return errors.Join(first, m.sign(), m.work(few(1200)), m.make(over), m.sign())
}

// race lets both claim names at the same instant, until each has the site's word.
func (p *plant) race(a, b *bench, world string, names, inFlight int) {
	slots := make(chan bool, inFlight)
	var all sync.WaitGroup
	for n := range names {
		slots <- true
		all.Go(func() {
			defer func() { <-slots }()
			won := make(chan bool, 2)
			for i, x := range []*bench{a, b} {
				go func() {
					won <- x.claim(site.Names{MAC: fmt.Sprintf("02:%02x", i), Simulated: true, List: []site.Name{{Kind: site.NameSerial, Value: fmt.Sprintf("%s/%d", world, n)}}})
				}()
			}
			if one, two := <-won, <-won; one == two {
				p.t.Errorf("name %s/%d: both got the same answer, %v", world, n, one)
			}
		})
	}
	all.Wait()
}

// claim asks until the site says whose it is, and once more: it does not take its word back.
func (b *bench) claim(names site.Names) bool {
	said := 0
	for end := time.Now().Add(patience); time.Now().Before(end); {
		err := b.Claim(b.t.Context(), names)
		taken := new(site.Taken)
		switch {
		case errors.As(err, &taken):
			if said > 0 {
				b.t.Errorf("%s had a name, and then: %v", b.Pass.Bench, err)
			}
			return false
		case err == nil:
			if said++; said == 2 {
				return true
			}
		case errors.Is(err, outbox.ErrAway):
			time.Sleep(20 * time.Millisecond)
		}
	}
	b.t.Errorf("%s never hears whose a name is", b.Pass.Bench)
	return false
}

// Two benches that claim at the same instant: one gets each name, ten thousand times.
func TestTenThousandClaims(t *testing.T) {
	p := newPlant(t)
	a, b := p.bench("bench-a", 0), p.bench("bench-b", 0)
	names := 10_000
	if racetest.Enabled {
		names = 20
	}
	for _, x := range []*bench{a, b} {
		if err := errors.Join(x.work(1), x.sign()); err != nil {
			t.Fatal(err)
		}
		x.run()
		defer x.end()
		x.settled()
	}
	p.race(a, b, "name", names, 50)
	if t.Failed() || racetest.Enabled {
		return
	}
	matrixtest.PublishIn(t, "../../../docs/site-faults.md", "claims", fmt.Sprintf("| what happens | times | how it ends |\n|---|---:|---|\n| two benches claim a name at the same instant | %d | %d one has it, the other hears who |\n", names, names), "go test ./internal/site/faults")
}
