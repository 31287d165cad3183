package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// jobDialog lets the operator choose one of several jobs.
type jobDialog struct {
	question
	chosen int
}

func (d *jobDialog) keys(m *Model) []binding {
	if d.busy {
		return []binding{m.leaveKey()}
	}
	choose := m.arrows(m.lang.kChoose, func(k string) { d.chosen = moved(d.chosen, len(m.cfg.Shift.Jobs), k) })
	return []binding{choose, bind(func() tea.Cmd { return d.accept(m) }, m.lang.enter, m.lang.kOK, "enter"), m.leaveKey()}
}

func (d *jobDialog) accept(m *Model) tea.Cmd {
	choose, path := m.cfg.Shift.Choose, m.cfg.Shift.Jobs[d.chosen].Path
	return d.ask(func() error { return choose(path) })
}

func (d *jobDialog) update(m *Model, msg tea.Msg) tea.Cmd {
	if good, _ := d.answered(msg); good {
		m.asked.job = true
		return m.openShift()
	}
	return nil
}

func (d *jobDialog) view(m *Model, w, h int) []string {
	lines := []string{m.style.title.s(m.lang.chooseJob), ""}
	said := d.said(m, w)
	room := max(h-len(lines)-len(said), 1)
	first := max(0, d.chosen-room+1)
	for i, j := range m.cfg.Shift.Jobs[first:min(first+room, len(m.cfg.Shift.Jobs))] {
		text := fmt.Sprintf("  %s %s", strings.TrimSpace(j.Name+" "+j.Revision), m.style.dim.s(j.Path))
		if first+i == d.chosen {
			text = m.style.selected.s(fit(m.style.signs.mark+" "+strings.TrimSpace(j.Name+" "+j.Revision)+" "+j.Path, w))
		}
		lines = append(lines, text)
	}
	return append(lines, said...)
}
