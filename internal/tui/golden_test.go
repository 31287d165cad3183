package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"station/internal/board"
	"station/internal/flow"
)

// toTheEnd is after the last event of every recorded run.
const toTheEnd = 1000

// running are the events of a recorded run up to a time, without its end: the
// line goes on.
func running(t testing.TB, name string, seconds float64) eventsMsg {
	t.Helper()
	var out eventsMsg
	for _, e := range until(events(t, name), seconds) {
		if e.Event != flow.LineDone {
			out = append(out, e)
		}
	}
	return out
}

// Every verdict in every size, in words, shapes and both languages.
func TestGoldenVerdicts(t *testing.T) {
	for _, run := range []string{"pass", "already", "retry", "scrap", "quarantine", "station"} {
		for _, size := range [][2]int{{40, 16}, {80, 24}, {160, 48}} {
			for _, c := range []struct {
				name string
				cfg  Config
			}{
				{"", Config{}},
				{"-ascii", Config{ASCII: true}},
				{"-zh", Config{Language: "zh"}},
			} {
				if c.name != "" && size != [2]int{80, 24} {
					continue
				}
				name := fmt.Sprintf("%s-%dx%d%s", run, size[0], size[1], c.name)
				t.Run(name, func(t *testing.T) {
					m := screen(t, c.cfg, size[0], size[1])
					send(m, running(t, run, toTheEnd))
					golden(t, name, m.View())
				})
			}
		}
	}
}

// A device on its way, and lines of 4 and 32 slots.
func TestGoldenLines(t *testing.T) {
	for _, c := range []struct {
		run  string
		at   float64
		w, h int
		cfg  Config
		name string
	}{
		{"pass", 5, 80, 24, Config{}, "writing-80x24"},
		{"pass", 5, 40, 12, Config{Language: "zh"}, "writing-40x12-zh"},
		{"pass", burning(t), 80, 24, Config{}, "burning-80x24"},
		{"pass", burning(t), 160, 48, Config{}, "burning-160x48"},
		{"pass", burning(t), 40, 12, Config{ASCII: true}, "burning-40x12-ascii"},
		{"pass", 0, 80, 24, Config{}, "empty-80x24"},
		{"line4", 17, 80, 24, Config{}, "line4-80x24"},
		{"line4", 17, 160, 48, Config{}, "line4-160x48"},
		{"line4", 17, 40, 24, Config{}, "line4-40x24"},
		{"line4", 17, 40, 8, Config{}, "line4-40x8"},
		{"line4", toTheEnd, 80, 24, Config{Language: "zh"}, "line4-end-80x24-zh"},
		{"line4", toTheEnd, 160, 48, Config{Columns: 1}, "line4-end-one-column"},
		{"line32", 17, 80, 24, Config{}, "line32-80x24"},
		{"line32", 17, 80, 24, Config{ASCII: true, Language: "zh"}, "line32-80x24-ascii-zh"},
		{"line32", 17, 160, 48, Config{}, "line32-160x48"},
		{"line32", 17, 240, 67, Config{Columns: 8}, "line32-240x67"},
		{"line32", 17, 40, 16, Config{}, "line32-40x16"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := screen(t, c.cfg, c.w, c.h)
			send(m, running(t, c.run, c.at))
			golden(t, c.name, m.View())
		})
	}
}

// A line in every state there is, with hints and acknowledgements.
func TestGoldenStates(t *testing.T) {
	for name, cfg := range map[string]Config{"states-120x44": {}, "states-120x44-zh": {Language: "zh"}} {
		cfg.Ack, cfg.Quit, cfg.Pause, cfg.Bell = func(string) {}, func() {}, func(bool) {}, func() {}
		cfg.Health = func() board.Health {
			return board.Health{Token: board.Part{OK: true, Words: "ok"}, Ledger: board.Part{OK: true, Words: "ok"}, Disk: board.Part{OK: true, Words: "41 GB"}, Head: "1234 3f2a9c"}
		}
		m := screen(t, cfg, 120, 44)
		m.muted = true
		send(m, anyLine(8), tickMsg(morning))
		golden(t, name, m.View())
	}
}

// burning is a time at which the device of the run "pass" burns its fuses.
func burning(t *testing.T) float64 {
	t.Helper()
	for _, e := range events(t, "pass") {
		if e.Event == flow.StepStarted && e.Burning {
			return e.Time.Sub(morning).Seconds() + 1e-4
		}
	}
	t.Fatal("the run burns nothing")
	return 0
}

// The same frame in the colours of three kinds of terminal, and with bold and
// reverse only.
func TestGoldenColours(t *testing.T) {
	for _, c := range []struct {
		name    string
		profile termenv.Profile
		mono    bool
	}{
		{"truecolor", termenv.TrueColor, false}, {"256", termenv.ANSI256, false},
		{"16", termenv.ANSI, false}, {"no-color", termenv.ANSI, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := New(Config{NoColor: c.mono}, renderer(c.profile))
			m.started = true
			send(m, tea.WindowSizeMsg{Width: 60, Height: 16}, running(t, "line4", 17))
			frame := m.View()
			if c.mono && (strings.Contains(frame, "\x1b[3") || strings.Contains(frame, "[4") || strings.Contains(frame, ";3")) {
				t.Error("there are colours in a frame without colours")
			}
			golden(t, "colour-"+c.name, strings.ReplaceAll(frame, "\x1b", "␛"))
		})
	}
}
