package tui

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/racetest"
	"station/internal/record"
)

// hostile clears the screen, sets its title, turns the direction of the text
// and hides what follows, in every way that terminals know.
const hostile = "设\x1b[2J\x1b]0;owned\x07\u009b31m\x9b1m\u202eSSAP\u2066\u200b\ufeff\r\x08\x7f\u2028"

// poisoned has the hostile text at the end of every string in v but those named.
func poisoned(v reflect.Value, but ...string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(v.String() + hostile)
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && !strings.Contains(" "+strings.Join(but, " ")+" ", " "+f.Name+" ") {
				poisoned(v.Field(i), but...)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			poisoned(v.Index(i), but...)
		}
	case reflect.Pointer:
		if !v.IsNil() {
			poisoned(v.Elem(), but...)
		}
	}
}

func mustBePlain(t *testing.T, what string, m *Model) {
	t.Helper()
	frame := m.View()
	for _, r := range strings.ToValidUTF8(frame, "\u202e") {
		if r != '\n' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)) {
			t.Errorf("%s: %q in %q", what, r, frame)
			return
		}
	}
	checkFrame(t, what, frame, m.width, m.height)
}

func hostileConfig() Config {
	visit := record.Visit{End: morning, MAC: chip.MAC{2}, Serial: hostile, Slot: hostile, Verdict: record.Retry, Code: hostile}
	detail := board.Detail{Entries: []string{hostile}, Fuses: []record.FuseChange{{Field: hostile, Old: hostile, New: hostile}}, Boot: "a\r\n" + hostile}
	plan := Plan{}
	part := board.Part{Words: hostile}
	s := examplePlan()
	poisoned(reflect.ValueOf(&s).Elem(), "Digest")
	plan = s
	return Config{
		Shift: &Shift{
			Jobs:     []Job{{"a", hostile, hostile}, {"b", hostile, hostile}},
			Choose:   func(string) error { return errors.New(hostile) },
			Operator: func(string) error { return errors.New(hostile) },
			Plan:     func() (Plan, error) { return plan, nil },
		},
		Health:  func() board.Health { return board.Health{Token: part, Ledger: part, Disk: part, Head: hostile} },
		History: func(string) ([]record.Visit, error) { return []record.Visit{visit, visit}, nil },
		Detail:  func(chip.MAC) (board.Detail, error) { return detail, errors.New(hostile) },
	}
}

// Whatever others wrote into names, events, plans, entries and consoles, no
// frame of any screen holds what acts on a terminal.
func TestForeignTextIsPlain(t *testing.T) {
	var cases racetest.Sample
	for _, size := range [][2]int{{160, 50}, {60, 20}} {
		for _, run := range []string{"line4", "scrap"} {
			cfg := hostileConfig()
			m := New(cfg, renderer(termenv.Ascii))
			send(m, tea.WindowSizeMsg{Width: size[0], Height: size[1]})
			m.started = true
			for _, e := range events(t, run) {
				poisoned(reflect.ValueOf(&e).Elem(), "Event", "Verdict", "Steps")
				send(m, eventsMsg{e})
				if e.Event != flow.StepProgress && !cases.Out(5) {
					mustBePlain(t, run+" "+e.Event, m)
				}
			}
			settle(m, m.askHealth())
			mustBePlain(t, "health", m)
			send(m, noticeMsg{hostile, true})
			mustBePlain(t, "notice", m)
			settle(m, m.openDetail())
			for range 3 {
				mustBePlain(t, "detail", m)
				press(m, "tab")
			}
			m.dialog = nil
			settle(m, m.openHistory())
			mustBePlain(t, "history", m)
			press(m, "enter")
			mustBePlain(t, "detail of the history", m)
		}
		m := begin(t, hostileConfig(), size[0], size[1])
		mustBePlain(t, "jobs", m)
		press(m, "enter")
		mustBePlain(t, "refused job", m)
		cfg := hostileConfig()
		cfg.Shift.Jobs = nil
		m = begin(t, cfg, size[0], size[1])
		press(m, "A", "enter")
		mustBePlain(t, "refused operator", m)
		cfg.Shift.Operator = nil
		m = begin(t, cfg, size[0], size[1])
		mustBePlain(t, "plan", m)
		press(m, "end")
		mustBePlain(t, "end of the plan", m)
	}
}

// Characters of other languages are kept.
func TestForeignLanguagesAreKept(t *testing.T) {
	m := New(Config{}, renderer(termenv.Ascii))
	send(m, tea.WindowSizeMsg{Width: 100, Height: 30})
	send(m, eventsMsg{{Time: morning, Event: flow.LineReady, Job: "温度计", Revision: "1.0-β", Slots: []string{"左"}}})
	mustShow(t, m, "温度计", "左")
}
