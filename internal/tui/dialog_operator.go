package tui

import (
	"strings"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
)

// operatorDialog asks who works here. A badge scanner types and presses Enter.
type operatorDialog struct {
	question
	text textinput.Model
}

func (d *operatorDialog) keys(m *Model) []binding {
	var out []binding
	if !d.busy && strings.TrimSpace(d.text.Value()) != "" {
		out = append(out, bind(func() tea.Cmd { return d.accept(m) }, m.lang.enter, m.lang.kOK, "enter"))
	}
	return append(out, m.leaveKey())
}

func (d *operatorDialog) accept(m *Model) tea.Cmd {
	check, id := m.cfg.Shift.Operator, strings.TrimSpace(d.text.Value())
	return d.ask(func() error { return check(id) })
}

func (d *operatorDialog) update(m *Model, msg tea.Msg) tea.Cmd {
	switch good, mine := d.answered(msg); {
	case good:
		m.asked.operator = true
		if m.status.Operator == "" {
			m.status.Operator = strings.TrimSpace(d.text.Value()) // until line.ready tells
		}
		return m.openShift()
	case mine:
		d.text.Reset()
		return nil
	case d.busy:
		return nil
	}
	var cmd tea.Cmd
	d.text, cmd = d.text.Update(msg)
	return cmd
}

func (d *operatorDialog) view(m *Model, w, _ int) []string {
	lines := []string{m.style.title.s(m.lang.askOperator), "", d.text.View(), ""}
	lines = append(lines, wrap(m.lang.operatorHow, w, 2, m.style.signs.ellipsis)...)
	return append(lines, d.said(m, w)...)
}
