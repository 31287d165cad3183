package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/plain"
	"station/internal/record"
)

// detailDialog is what an engineer wants to see of one device: its log, its
// fuses before and after, and the console of its last start.
type detailDialog struct {
	question
	title  string
	mac    chip.MAC
	slot   string // whose log is shown; empty for a device out of the history
	detail board.Detail
	tab    int
	top    int
	from   dialog // where Esc goes
}

type detailMsg struct {
	mac    chip.MAC
	detail board.Detail
	err    error
}

// openDetail shows the chosen slot.
func (m *Model) openDetail() tea.Cmd {
	s := m.slot()
	d := &detailDialog{title: fmt.Sprintf(m.lang.detailTitle, s.Name), mac: s.MAC, slot: s.Name}
	m.dialog = d
	return d.load(m)
}

// detailOf shows a device of the history.
func (m *Model) detailOf(r record.Visit, from dialog) tea.Cmd {
	d := &detailDialog{title: r.Serial, mac: r.MAC, from: from}
	m.dialog = d
	return d.load(m)
}

func (d *detailDialog) load(m *Model) tea.Cmd {
	if m.cfg.Detail == nil || d.mac.IsZero() {
		return nil
	}
	d.busy = true
	find, mac := m.cfg.Detail, d.mac
	return func() tea.Msg {
		detail, err := find(mac)
		return detailMsg{mac, detail, err}
	}
}

func (d *detailDialog) keys(m *Model) []binding {
	tab := bind(func() tea.Cmd { d.tab, d.top = (d.tab+1)%3, 0; return nil }, "Tab", m.lang.kTab, "tab", "right")
	previous := binding{key.NewBinding(key.WithKeys("left", "shift+tab")), func(tea.KeyMsg) tea.Cmd {
		d.tab, d.top = (d.tab+2)%3, 0
		return nil
	}}
	back := bind(func() tea.Cmd { m.dialog = d.from; return nil }, m.lang.esc, m.lang.kBack, "esc")
	_, h := m.inner()
	return slices.Concat([]binding{previous, tab}, m.scrollKeys(&d.top, len(d.page(m)), d.room(m, h)), []binding{back})
}

func (d *detailDialog) update(_ *Model, msg tea.Msg) tea.Cmd {
	if r, ok := msg.(detailMsg); ok && r.mac == d.mac {
		d.busy, d.err, d.detail = false, r.err, r.detail
	}
	return nil
}

func (d *detailDialog) view(m *Model, w, h int) []string {
	title := strings.TrimSpace(d.title)
	if !d.mac.IsZero() {
		title = strings.TrimSpace(title + "  " + d.mac.String())
	}
	var tabs []string
	for i, name := range []string{m.lang.tabLog, m.lang.tabFuses, m.lang.tabBoot} {
		if i == d.tab {
			name = m.style.selected.s(" " + name + " ")
		} else {
			name = " " + name + " "
		}
		tabs = append(tabs, name)
	}
	lines := []string{m.style.title.s(title), strings.Join(tabs, " "), ""}
	page := d.page(m)
	if len(page) == 0 && !d.busy && d.err == nil {
		page = []string{m.lang.nothing}
	}
	for _, text := range window(page, d.top, d.room(m, h)) {
		lines = append(lines, cut(text, w, m.style.signs.ellipsis))
	}
	return append(lines, d.said(m, w)...)
}

// room is how many lines of a page are shown below title and tabs.
func (d *detailDialog) room(m *Model, h int) int {
	return max(h-3-len(d.said(m, m.width-4)), 1)
}

// page is the whole text of the tab.
func (d *detailDialog) page(m *Model) []string {
	switch d.tab {
	case 1:
		return d.fuses(m)
	case 2:
		return printable(d.detail.Boot)
	}
	var out []string
	if d.slot != "" {
		for _, e := range m.status.Slot(d.slot).Log {
			out = append(out, m.logLines(e)...)
		}
	}
	if len(out) > 0 && len(d.detail.Entries) > 0 {
		out = append(out, "")
	}
	for _, text := range d.detail.Entries {
		out = append(out, clean(text))
	}
	return out
}

// logLines is one event as an engineer reads it.
func (m *Model) logLines(e flow.Event) []string {
	parts := []string{e.Time.Format("15:04:05.0"), fit(e.Event, 18), fit(string(e.Step), 10)}
	add := func(on bool, format string, args ...any) {
		if on {
			parts = append(parts, fmt.Sprintf(format, args...))
		}
	}
	add(e.Verdict != "", "%s", e.Verdict)
	add(e.Code != "", "%s", e.Code)
	add(e.Seconds > 0, "%.2f s", e.Seconds)
	add(e.Baud > 0, "%d baud", e.Baud)
	add(e.Retries > 0, "%s again", plain.Count(e.Retries, "block"))
	out := []string{strings.TrimRight(strings.Join(parts, " "), " ")}
	w, _ := m.inner()
	return append(out, asIndented(wrap(clean(e.Detail), w-4, 6, m.style.signs.ellipsis))...)
}

func asIndented(lines []string) []string {
	for i := range lines {
		lines[i] = "    " + lines[i]
	}
	return lines
}

func (d *detailDialog) fuses(m *Model) []string {
	if len(d.detail.Fuses) == 0 {
		return nil
	}
	row := func(field, before, after string) string {
		return fit(field, 24) + " " + fit(before, 20) + " " + after
	}
	out := []string{m.style.dim.s(row(m.lang.fuseField, m.lang.fuseBefore, m.lang.fuseAfter))}
	for _, f := range d.detail.Fuses {
		text := row(f.Field, f.Old, f.New)
		if f.Old != f.New {
			text = m.style.bold.s(text + "  " + m.style.signs.changed)
		}
		out = append(out, text)
	}
	return out
}

// printable is a console's text without what could move the cursor.
func printable(console string) []string {
	if strings.TrimSpace(console) == "" {
		return nil
	}
	lines := strings.Split(strings.TrimRight(strings.ReplaceAll(console, "\r", ""), "\n"), "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return lines
}
