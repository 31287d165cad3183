//go:build unix

package tui

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"station/internal/flow"
)

// busy32 is a model of 32 slots that all write their flash, in colour.
func busy32(b *testing.B) (*Model, []flow.Event) {
	all := events(b, "line32")
	m := New(Config{}, renderer(termenv.TrueColor))
	m.started = true
	send(m, tea.WindowSizeMsg{Width: 160, Height: 48}, eventsMsg(until(all, 5)))
	var progress []flow.Event
	for _, e := range all {
		if e.Event == flow.StepProgress {
			progress = append(progress, e)
		}
	}
	return m, progress
}

// One frame of 32 busy slots: what a redraw costs. Ten a second are the most
// that are drawn.
func BenchmarkFrame32(b *testing.B) {
	m, progress := busy32(b)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		m.Update(eventsMsg(progress[i%len(progress) : i%len(progress)+1]))
		if m.View() == "" {
			b.Fatal("no frame")
		}
	}
	perFrame := b.Elapsed().Seconds() / float64(b.N)
	b.ReportMetric(100*perFrame/redraw.Seconds(), "%CPU@10Hz")
}

// Events alone: what the screen takes in between two frames.
func BenchmarkFold32(b *testing.B) {
	m, progress := busy32(b)
	start := time.Now()
	n := 0
	for i := 0; b.Loop(); i++ {
		m.fold(progress[i%len(progress)])
		n++
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "events/s")
}

// The whole screen with 32 slots that tell 20 events a second each, as long as
// the benchmark runs: what share of one CPU the program takes, terminal
// excluded.
func BenchmarkScreen32(b *testing.B) {
	in, _ := io.Pipe()
	frames := &counter{}
	s := NewScreen(Config{}, in, frames)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.program.Send(tea.WindowSizeMsg{Width: 160, Height: 48})
	for _, e := range until(events(b, "line32"), 5) {
		s.Emit(e)
	}
	const perSecond = 32 * 20
	tick := time.NewTicker(time.Second / perSecond)
	defer tick.Stop()
	begin, cpu := time.Now(), cpuTime(b)
	n := 0
	for b.Loop() {
		<-tick.C
		s.Emit(flow.Event{Time: morning.Add(5*time.Second + time.Duration(n)*time.Millisecond), Event: flow.StepProgress,
			Slot: fmt.Sprint(1 + n%32), Percent: n % 100, Bytes: int64(n) * 1000, Total: 1 << 20})
		n++
	}
	took := time.Since(begin).Seconds()
	b.ReportMetric(100*(cpuTime(b)-cpu).Seconds()/took, "%CPU")
	b.ReportMetric(float64(n)/took, "events/s")
	b.ReportMetric(float64(frames.n.Load())/took/1000, "kB/s")
	cancel()
	s.Emit(flow.Event{Time: morning, Event: flow.LineDone})
	<-done
}

// counter is a terminal that takes everything and counts it.
type counter struct{ n atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.n.Add(int64(len(p)))
	return len(p), nil
}

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
