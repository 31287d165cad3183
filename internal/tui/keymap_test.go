package tui

import (
	"fmt"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// full is a configuration in which everything is available; calls counts what
// was asked for.
func full(calls *int) Config {
	ask := func() { *calls++ }
	return Config{
		Quit: ask, Pause: func(bool) { ask() }, Retry: func(string) { ask() }, Ack: func(string) { ask() }, Bell: func() {},
		History: func(string) ([]record.Visit, error) {
			ask()
			return []record.Visit{{Verdict: record.Pass, MAC: chip.MAC{1}}, {Verdict: record.Scrap}}, nil
		},
		Detail: func(chip.MAC) (board.Detail, error) {
			ask()
			return board.Detail{Boot: strings.Repeat("line\n", 60)}, nil
		},
	}
}

func labels(m *Model) string {
	var out []string
	for _, b := range m.bindings() {
		out = append(out, b.Help().Desc)
	}
	return strings.Join(out, ",")
}

// Which keys there are depends on what can be done now.
func TestKeysFollowTheState(t *testing.T) {
	calls := 0
	for _, c := range []struct {
		name string
		cfg  Config
		msgs []tea.Msg
		want string
	}{
		{"nothing available", Config{}, nil, "help,quit"},
		{"empty line", full(&calls), nil, "history,mute,pause,help,quit"},
		{"a device at work", full(&calls), []tea.Msg{started("1")}, "history,mute,pause,details,help,quit"},
		{"passed", full(&calls), []tea.Msg{started("1"), passed("1")}, "history,mute,pause,details,help,quit"},
		{"failed, two slots", full(&calls), []tea.Msg{started("1"), failed("1"), started("2")}, "seen,try again,history,mute,pause,details,choose slot,help,quit"},
		{"ended", full(&calls), []tea.Msg{started("1"), passed("1"), flow.Event{Event: flow.LineDone}}, "history,mute,details,help,quit"},
		{"stopping", full(&calls), []tea.Msg{burns("1"), stopMsg{}}, "history,mute,details,help"},
	} {
		m := screen(t, c.cfg, 120, 24)
		send(m, c.msgs...)
		if got := labels(m); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

// state is what a key can change.
func state(m *Model, calls int) string {
	s := fmt.Sprintf("%T %v %v %v %d %d %d", m.dialog, m.paused, m.muted, m.stopping, m.chosen, len(m.unseen), calls)
	switch d := m.dialog.(type) {
	case *detailDialog:
		s += fmt.Sprint(d.tab, d.top)
	case *historyDialog:
		s += fmt.Sprint(d.chosen)
	case *helpDialog:
		s += fmt.Sprint(d.top)
	}
	return s
}

// Every key that is shown does something, in every state and dialogue.
func TestShownKeysWork(t *testing.T) {
	open := map[string][]string{"line": nil, "history": {"h"}, "details": {"enter"}, "details of history": {"h", "enter"}, "help": {"?"}, "quit": {"q"}}
	for name, keys := range open {
		build := func() (*Model, *int) {
			calls := 0
			m := screen(t, full(&calls), 120, 14)
			m.muted = true // bells take their time
			send(m, started("1"), failed("1"), started("2"), burns("3"))
			press(m, keys...)
			return m, &calls
		}
		m, _ := build()
		for i, b := range m.bindings() {
			worked := false
			for _, k := range b.Keys() { // "up" at the top does nothing, "down" does
				fresh, calls := build()
				before := state(fresh, *calls)
				press(fresh, k)
				worked = worked || state(fresh, *calls) != before
			}
			if !worked {
				t.Errorf("%s: key %d (%s, %s) does nothing", name, i, b.Help().Key, b.Help().Desc)
			}
		}
	}
}

// The footer shows the keys that work and no others, and keeps help and quit
// in the narrowest window.
func TestFooterShowsTheKeys(t *testing.T) {
	calls := 0
	m := screen(t, full(&calls), 160, 24)
	send(m, started("1"), failed("1"), started("2"))
	for _, b := range m.bindings() {
		mustShow(t, m, b.Help().Key+"  "+b.Help().Desc)
	}
	send(m, tea.WindowSizeMsg{Width: 30, Height: 24})
	mustShow(t, m, "help", "quit")
	mustHide(t, m, "history")
	send(m, tea.WindowSizeMsg{Width: 160, Height: 40})
	press(m, "?")
	mustShow(t, m, "try again", "choose slot", "QUARANTINE", "DO NOT UNPLUG", "Keys that work now")
}

func TestArrowsWalkTheFixture(t *testing.T) {
	m := screen(t, Config{Columns: 4}, 160, 48)
	send(m, anyLine(8))
	for _, c := range []struct {
		key  string
		want int
	}{{"left", 0}, {"up", 0}, {"right", 1}, {"down", 5}, {"down", 5}, {"right", 6}, {"right", 7}, {"right", 7}, {"up", 3}} {
		press(m, c.key)
		if m.chosen != c.want {
			t.Fatalf("after %s: slot %d is chosen, want %d", c.key, m.chosen, c.want)
		}
	}
	mustShow(t, m, "► 4")
}
