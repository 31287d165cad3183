package board

import (
	"math/rand/v2"
	"testing"
	"time"

	"station/internal/flow"
)

// What is told as left never jumps, however the wire's rate changes, blocks are
// sent again or nothing is heard for long; and with a steady rate it is right in
// the end.
func TestLeftNeverJumps(t *testing.T) {
	const tick = 100 * time.Millisecond
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		now, total, bytes, rate := at(0), int64(4_000_000), int64(0), 100_000.0
		s := &SlotStatus{Busy: true}
		s.apply(flow.Event{Time: now, Event: flow.StepStarted, Step: "flash", Total: total}, true)
		told, until := time.Duration(0), now
		for i := 0; bytes < total-200_000; i++ {
			now = now.Add(tick)
			bytes += int64(rate * tick.Seconds())
			if i%40 == 39 && i < 400 { // then the rate stays
				rate = []float64{20_000, 100_000, 400_000}[r.IntN(3)]
				bytes = max(bytes-int64(r.IntN(2)*100_000), 1)
			}
			if now.After(until) {
				s.apply(flow.Event{Time: now, Event: flow.StepProgress, Bytes: bytes, Total: total}, true)
				until = now.Add(time.Duration(r.IntN(5000)) * time.Millisecond)
			}
			left := s.Left(now)
			if change := left - told; told != 0 && (change > tick || change < -2*tick) {
				t.Fatalf("seed %d: %v left became %v in %v", seed, told, left, tick)
			}
			told = left
		}
		if told == 0 {
			t.Errorf("seed %d: nothing was told", seed)
		}
		s.apply(flow.Event{Time: now, Event: flow.StepStarted, Step: "boot", Total: total}, true)
		if left := s.Left(now); left != 0 {
			t.Errorf("seed %d: a step that has just begun has %v left", seed, left)
		}
	}
}

func TestLeftComesRight(t *testing.T) {
	var c countdown
	c.expect(at(0), time.Minute)
	c.expect(at(1), 20*time.Second) // it went faster than that
	for seconds, want := range map[int]time.Duration{1: 59 * time.Second, 2: 57 * time.Second, 11: 39 * time.Second} {
		if got := c.now(at(float64(seconds))); got != want {
			t.Errorf("after %d s: %v left, want %v", seconds, got, want)
		}
	}
	c.expect(at(11), 45*time.Second) // and slower
	for seconds, want := range map[int]time.Duration{12: 40 * time.Second, 14: 42 * time.Second, 16: 40 * time.Second, 100: time.Second} {
		if got := c.now(at(float64(seconds))); got != want {
			t.Errorf("after %d s: %v left, want %v", seconds, got, want)
		}
	}
}
