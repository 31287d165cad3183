package tui

import (
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
