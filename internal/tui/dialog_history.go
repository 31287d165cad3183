package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"station/internal/record"
	"station/internal/words"
)

// historyDialog lists the devices of the day. What is typed or scanned is part
// of a MAC or of a serial number; a whole one finds the device's other days too.
type historyDialog struct {
	question
	text   textinput.Model
	asked  int // how often; an answer to an older question is dropped
	rows   []record.Visit
	chosen int
}

type rowsMsg struct {
	asked int
	rows  []record.Visit
	err   error
}

func (m *Model) openHistory() tea.Cmd {
	d := &historyDialog{text: m.input(40)}
	m.dialog = d
	return d.search(m)
}

func (d *historyDialog) search(m *Model) tea.Cmd {
	d.asked++
	d.busy = true
	n, query, find := d.asked, strings.TrimSpace(d.text.Value()), m.cfg.History
	return func() tea.Msg {
		rows, err := find(query)
		return rowsMsg{n, rows, err}
	}
}

func (d *historyDialog) keys(m *Model) []binding {
	var out []binding
	if len(d.rows) > 0 {
		if m.cfg.Detail != nil {
			out = append(out, bind(func() tea.Cmd { return m.detailOf(d.rows[d.chosen], d) }, m.lang.enter, m.lang.kDetails, "enter"))
		}
		if len(d.rows) > 1 {
			out = append(out, m.arrows(m.lang.kChoose, func(k string) { d.chosen = moved(d.chosen, len(d.rows), k) }))
		}
	}
	return append(out, m.backKey())
}

func (d *historyDialog) update(m *Model, msg tea.Msg) tea.Cmd {
	if r, ok := msg.(rowsMsg); ok {
		if r.asked == d.asked {
			d.busy, d.err, d.rows, d.chosen = false, r.err, r.rows, 0
		}
		return nil
	}
	before := d.text.Value()
	var cmd tea.Cmd
	d.text, cmd = d.text.Update(msg)
	if d.text.Value() != before {
		return tea.Batch(cmd, d.search(m))
	}
	return cmd
}

// historyColumns are the widths of time, verdict, MAC, serial, slot, code and
// seconds: what a narrow window lacks is taken from serial number and code.
func historyColumns(w int) [7]int {
	columns := [7]int{11, 12, 17, 14, 4, 20, 6}
	lacks := len(columns) - 1 - w
	for _, n := range columns {
		lacks += n
	}
	take := func(column, least int) {
		less := min(max(lacks, 0), columns[column]-least)
		columns[column] -= less
		lacks -= less
	}
	take(3, 8)
	take(6, 4)
	take(5, 12)
	return columns
}

func (d *historyDialog) view(m *Model, w, h int) []string {
	lines := []string{m.style.title.s(m.lang.historyTitle), m.lang.historyAsk + " " + d.text.View(), ""}
	lines = append(lines, m.style.dim.s(m.tabular(w, m.lang.columns)))
	switch {
	case d.err != nil:
		return append(lines, d.said(m, w)...)
	case len(d.rows) == 0 && !d.busy:
		return append(lines, m.lang.historyNone)
	}
	room := max(h-len(lines), 1)
	first := max(0, d.chosen-room+1)
	for i := first; i < min(first+room, len(d.rows)); i++ {
		text := m.row(d.rows[i], w)
		if i == d.chosen {
			text = m.style.selected.s(fit(text, w))
		}
		lines = append(lines, text)
	}
	return lines
}

func (m *Model) row(r record.Visit, w int) string {
	st := m.style.tone[words.TonesOf[r.Verdict]]
	end := r.End.In(m.now.Location())
	virtual, when := "", end.Format("15:04:05")
	if r.Virtual {
		virtual = virtualMark
	}
	if y, day := end.Year(), end.YearDay(); !m.now.IsZero() && (y != m.now.Year() || day != m.now.YearDay()) {
		when = end.Format("01-02 15:04")
	}
	return m.tabular(w, [7]string{when, st.sign + " " + string(r.Verdict), r.MAC.String(), r.Serial, r.Slot, joined([]string{string(r.Code), virtual}, " ", historyColumns(w)[5]),
		fmt.Sprintf("%.1f", r.Seconds)})
}

// tabular is a row; what a column has no room for is marked as cut.
func (m *Model) tabular(w int, cells [7]string) string {
	var b strings.Builder
	columns := historyColumns(w)
	for i, c := range cells {
		b.WriteString(fit(cut(c, columns[i], m.style.signs.ellipsis), columns[i]) + " ")
	}
	return strings.TrimRight(b.String(), " ")
}
