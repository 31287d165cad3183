package tui

import (
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"station/internal/record"
	"station/internal/words"
)

// helpDialog shows the keys of the line and what the tiles mean.
type helpDialog struct {
	bindings []binding // those of the line when help was asked for
	top      int
}

func (m *Model) openHelp() tea.Cmd {
	m.dialog = &helpDialog{bindings: m.bindings()}
	return nil
}

func (d *helpDialog) keys(m *Model) []binding {
	_, h := m.inner()
	return append(m.scrollKeys(&d.top, len(d.lines(m)), h-1), m.backKey())
}

func (d *helpDialog) update(*Model, tea.Msg) tea.Cmd { return nil }

func (d *helpDialog) view(m *Model, w, h int) []string {
	lines := d.lines(m)
	for i := range lines {
		lines[i] = cut(lines[i], w, m.style.signs.ellipsis)
	}
	return append([]string{m.style.title.s(m.lang.helpTitle)}, window(lines, d.top, h-1)...)
}

func (d *helpDialog) lines(m *Model) []string {
	lines := []string{m.style.bold.s(m.lang.helpKeys)}
	for _, b := range d.bindings {
		lines = append(lines, "  "+fit(b.Help().Key, 8)+b.Help().Desc)
	}
	lines = append(lines, "", m.style.bold.s(m.lang.helpSigns))
	for _, v := range []record.Verdict{record.Pass, record.Retry, record.Scrap, record.Quarantine, record.Station} {
		st := m.style.tone[words.TonesOf[v]]
		lines = append(lines, "  "+st.strong.s(fit(fmt.Sprintf(" %s %s %s", st.sign, v, m.lang.Verdicts[v]), 24))+" "+m.lang.Meaning[v])
	}
	st := m.style.tone[held]
	return append(lines, "  "+st.strong.s(fit(" "+st.sign+" "+m.lang.DoNotUnplug, 24))+" "+m.lang.meaningHeld)
}
