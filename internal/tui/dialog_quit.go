package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"
)

// quitDialog asks before a line is stopped: a glove on q must not end a shift.
type quitDialog struct{}

func (d *quitDialog) keys(m *Model) []binding {
	return []binding{bind(m.stop, m.lang.enter, m.lang.kSure, "enter", "y"), m.backKey()}
}

func (d *quitDialog) update(*Model, tea.Msg) tea.Cmd { return nil }

func (d *quitDialog) view(m *Model, w, _ int) []string {
	lines := []string{m.style.title.s(m.lang.quitTitle), ""}
	busy, held := m.status.Busy()
	say := func(p paint, text string) {
		for _, l := range wrap(text, w, 3, m.style.signs.ellipsis) {
			lines = append(lines, p.s(l))
		}
	}
	if busy == 0 {
		say(paint{}, m.lang.quitIdle)
	}
	if busy > held {
		say(paint{}, fmt.Sprintf(m.lang.quitBusy, busy-held))
	}
	if held > 0 {
		say(m.style.alarm, fmt.Sprintf(m.lang.quitHeld, held))
	}
	return lines
}
