package outbox

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// BenchmarkCatchUp is how fast a bench that was away fills the mirror, with every
// acknowledgement synced, and what both sides of the wire work for it until the site has
// read all: entries are of the size of a visit's.
func BenchmarkCatchUp(b *testing.B) {
	const entries = 30_000
	x := newBench(b)
	x.about = strings.Repeat("x", 600)
	for range entries / 5000 {
		x.work(5000)
	}
	p, err := plant()
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		start, worked := time.Now(), processorTime(b)
		if _, err := x.Push(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(entries/time.Since(start).Seconds(), "entries/s")
		set, end, err := p.Folder.Replicas(b.Context(), func(text string) { b.Log(text) }) // which have all then
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64((processorTime(b)-worked).Microseconds())/entries, "processor-µs/entry")
		if n, _, err := set.Ledger(x.Pass.Bench).Head(); err != nil || n <= entries {
			b.Fatalf("the site has %d entries: %v", n, err)
		}
		end()
	}
}

// processorTime is how long this process has worked, the site in it too.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		b.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
