package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"station/internal/flow"
)

// goOnDialog asks before a line goes on that stopped because devices failed
// alike: each time that costs as many devices more if nothing was mended.
type goOnDialog struct{}

// failedAlike is the event of a line that waits for a person to let it go on.
func (m *Model) failedAlike() *flow.Event {
	if e := m.status.Halt; e != nil && e.Code == flow.CodeAlike && m.cfg.GoOn != nil && !m.stopping && !m.status.Done {
		return e
	}
	return nil
}

func (m *Model) askGoOn() tea.Cmd {
	m.dialog = &goOnDialog{}
	return nil
}

func (d *goOnDialog) keys(m *Model) []binding {
	if m.failedAlike() == nil {
		return []binding{m.backKey()}
	}
	return []binding{bind(m.goOn, "Y", m.lang.kMended, "y", "Y"), m.backKey()}
}

func (m *Model) goOn() tea.Cmd {
	m.dialog = nil
	goOn := m.cfg.GoOn
	return func() tea.Msg { goOn(); return nil }
}

func (d *goOnDialog) update(*Model, tea.Msg) tea.Cmd { return nil }

func (d *goOnDialog) view(m *Model, w, _ int) []string {
	lines := []string{m.style.title.s(m.lang.goOnTitle), ""}
	e := m.failedAlike()
	if e == nil {
		return lines
	}
	sentence, _ := m.lang.Failure(e.Code, e.Message, e.Action)
	add := func(text string, n int) {
		lines = append(append(lines, wrap(text, w, n, m.style.signs.ellipsis)...), "")
	}
	add(sentence, 2)
	if cause, ok := m.lang.Failures[e.Cause]; ok {
		add(string(e.Cause)+": "+cause[0], 2)
	} else {
		add(string(e.Cause)+": "+flow.FailureOf(e.Cause).Sentence, 2)
	}
	add(clean(e.Detail), 4)
	add(m.lang.goOnHow, 3)
	return lines
}
