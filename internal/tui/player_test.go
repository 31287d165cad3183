package tui

import (
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"
)

func TestReadEvents(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", "the file is empty"},
		{"{}\n", "line 1: no event with a time"},
		{`{"time":"2026-11-20T08:00:00Z","event":"line.ready"}` + "\nnoise\n", "line 2: invalid character"},
	} {
		if _, err := ReadEvents(strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
	got, err := ReadEvents(strings.NewReader(`{"time":"2026-11-20T08:00:02Z","event":"line.done"}

{"time":"2026-11-20T08:00:00Z","event":"line.ready"}`))
	if err != nil || len(got) != 2 || got[0].Event != "line.ready" {
		t.Errorf("got %v, %v; want two events by time", got, err)
	}
}

func replayed(t *testing.T, run string, speed float64) *Model {
	t.Helper()
	m := newReplay(Config{}, events(t, run), speed, renderer(termenv.Ascii))
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	return m
}

// frames lets the recording run for n frames of 50 ms.
func frames(m *Model, n int) {
	for range n {
		m.Update(playMsg{})
	}
}

func TestReplay(t *testing.T) {
	m := replayed(t, "pass", 1)
	frames(m, 5*20)
	mustShow(t, m, "REPLAY 2026-11-20 08:00:05 at 1 times the speed", "Write flash", "08:00:05")
	press(m, "+", "+", "+")
	frames(m, 5)
	mustShow(t, m, "08:00:07 at 8 times")
	press(m, "space")
	frames(m, 100)
	mustShow(t, m, "REPLAY 2026-11-20 08:00:07, paused")
	press(m, "space", "-")
	frames(m, 5)
	mustShow(t, m, "08:00:08 at 4 times")
	press(m, "n")
	mustShow(t, m, "Sealed.")
	frames(m, 1)
	mustShow(t, m, "this is the end")
	if got := labels(m); got != "details,help,quit" {
		t.Errorf("keys at the end: %s", got)
	}
	if !quitsWith(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q")}) {
		t.Error("q does not leave a replay")
	}
}

// Played to its end at any speed, a run shows what it showed live.
func TestReplayEndsAsTheRunDid(t *testing.T) {
	live := screen(t, Config{}, 80, 24)
	send(live, eventsMsg(events(t, "line4")))
	for _, speed := range []float64{0.001, 7, 5000} {
		m := replayed(t, "line4", speed)
		for range 10 * int(time.Minute/frameTime) {
			if m.player.ended() {
				break
			}
			frames(m, 1)
		}
		if m.status.Counts != live.status.Counts || m.status.Day.FirstPass != live.status.Day.FirstPass {
			t.Errorf("speed %v: got %+v, want %+v", speed, m.status.Counts, live.status.Counts)
		}
		for i, s := range m.status.Slots {
			if s.Verdict != live.status.Slots[i].Verdict {
				t.Errorf("speed %v: slot %s shows %s, want %s", speed, s.Name, s.Verdict, live.status.Slots[i].Verdict)
			}
		}
	}
}

func TestReplayActsOnNothing(t *testing.T) {
	act := func() { t.Error("a replay acted on the line") }
	cfg := Config{Start: func() error { act(); return nil }, Quit: act, Pause: func(bool) { act() }, Retry: func(string) { act() },
		Ack: func(string) { act() }, Scan: func(string, string) error { act(); return nil }}
	m := newReplay(cfg, events(t, "retry"), 100, renderer(termenv.Ascii))
	m.Update(tea.WindowSizeMsg{Width: 80, Height: 24})
	frames(m, 20)
	press(m, "p", "r", "space", "space", "x", "enter", "esc", "q")
}
