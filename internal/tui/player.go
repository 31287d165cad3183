package tui

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"station/internal/flow"
)

// player shows a recorded run: it hands the events to the same model, at the
// times of the recording or faster.
type player struct {
	events []flow.Event
	next   int       // the first event that was not shown yet
	clock  time.Time // of the recording
	speed  float64
	paused bool
}

type playMsg struct{}

// Frames of a replay, and the speeds that + and - go through.
const (
	frameTime = 50 * time.Millisecond
	slowest   = 0.25
	fastest   = 1024
)

func nextFrame() tea.Cmd {
	return tea.Tick(frameTime, func(time.Time) tea.Msg { return playMsg{} })
}

// ReadEvents reads a run's JSON lines, as headless mode writes them.
func ReadEvents(r io.Reader) ([]flow.Event, error) {
	var events []flow.Event
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var e flow.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return nil, fmt.Errorf("events: line %d: %w", n, err)
		}
		if e.Event == "" || e.Time.IsZero() {
			return nil, fmt.Errorf("events: line %d: no event with a time", n)
		}
		events = append(events, e)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("events: %w", err)
	}
	if len(events) == 0 {
		return nil, fmt.Errorf("events: the file is empty")
	}
	slices.SortStableFunc(events, func(a, b flow.Event) int { return a.Time.Compare(b.Time) })
	return events, nil
}

// newReplay is the screen of a recorded run. It acts on nothing: of cfg only
// language and looks are used.
func newReplay(cfg Config, events []flow.Event, speed float64, r *lipgloss.Renderer) *Model {
	m := New(Config{Language: cfg.Language, ASCII: cfg.ASCII, NoColor: cfg.NoColor, Columns: cfg.Columns,
		Bell: cfg.Bell, Detail: cfg.Detail}, r)
	m.player = &player{events: events, clock: events[0].Time, speed: min(max(speed, slowest), fastest)}
	return m
}

func (p *player) ended() bool { return p.next >= len(p.events) }

// due takes the events up to the clock.
func (p *player) due() []flow.Event {
	first := p.next
	for !p.ended() && !p.events[p.next].Time.After(p.clock) {
		p.next++
	}
	return p.events[first:p.next]
}

// play advances the recording by one frame.
func (m *Model) play() tea.Cmd {
	p := m.player
	if !p.paused && !p.ended() {
		p.clock = p.clock.Add(time.Duration(float64(frameTime) * p.speed))
	}
	return tea.Batch(m.show(), nextFrame())
}

// show folds what is due.
func (m *Model) show() tea.Cmd {
	cmd := m.fold(m.player.due()...)
	m.now = m.player.clock
	return cmd
}

// skip goes to the next result, or to the end.
func (m *Model) skip() tea.Cmd {
	p := m.player
	for i := p.next; i < len(p.events); i++ {
		p.clock = p.events[i].Time
		if p.events[i].Verdict != "" {
			break
		}
	}
	return m.show()
}

func (m *Model) playerKeys() []binding {
	p := m.player
	if p.ended() {
		return nil
	}
	pause := func() tea.Cmd { p.paused = !p.paused; return nil }
	times := func(f float64) func() tea.Cmd {
		return func() tea.Cmd {
			p.speed = min(max(p.speed*f, slowest), fastest)
			return nil
		}
	}
	return []binding{
		bind(pause, m.lang.space, pick(p.paused, m.lang.kGoOn, m.lang.kPause), " "),
		bind(times(2), "+", m.lang.kFaster, "+", "="),
		bind(times(0.5), "-", m.lang.kSlower, "-"),
		bind(m.skip, "n", m.lang.kNext, "n"),
	}
}

func (m *Model) playerText() string {
	p := m.player
	at := p.clock.Format("2006-01-02 15:04:05")
	switch {
	case p.ended():
		return m.lang.replayEnd
	case p.paused:
		return fmt.Sprintf(m.lang.replayPaused, at)
	}
	return fmt.Sprintf(m.lang.replaySpeed, at, strconv.FormatFloat(p.speed, 'g', -1, 64))
}
