package outbox

import (
	"strings"
	"testing"
	"time"
)

// BenchmarkCatchUp is how fast a bench that was away fills the mirror, with every
// acknowledgement synced: entries are of the size of a visit's.
func BenchmarkCatchUp(b *testing.B) {
	const entries = 30_000
	x := newBench(b)
	x.about = strings.Repeat("x", 600)
	for range entries / 5000 {
		x.work(5000)
	}
	for b.Loop() {
		start := time.Now()
		if _, err := x.Push(b.Context()); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(entries/time.Since(start).Seconds(), "entries/s")
	}
}
