package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"station/internal/record"
)

// historyDialog lists the devices of the day. What is typed or scanned is part
// of a MAC or of a serial number.
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

// The widths of time, verdict, MAC, serial, slot, code and seconds.
var historyColumns = [7]int{8, 14, 17, 14, 4, 20, 6}

func (d *historyDialog) view(m *Model, w, h int) []string {
	lines := []string{m.style.title.s(m.lang.historyTitle), m.lang.historyAsk + " " + d.text.View(), ""}
	lines = append(lines, m.style.dim.s(tabular(m.lang.columns)))
	switch {
	case d.err != nil:
		return append(lines, d.said(m, w)...)
	case len(d.rows) == 0 && !d.busy:
		return append(lines, m.lang.historyNone)
	}
	room := max(h-len(lines), 1)
	first := max(0, d.chosen-room+1)
	for i := first; i < min(first+room, len(d.rows)); i++ {
		text := m.row(d.rows[i])
		if i == d.chosen {
			text = m.style.selected.s(fit(text, w))
		}
		lines = append(lines, text)
	}
	return lines
}

func (m *Model) row(r record.Visit) string {
	st := m.style.tone[tonesOf[r.Verdict]]
	virtual := ""
	if r.Virtual {
		virtual = virtualMark
	}
	return tabular([7]string{r.End.Format("15:04:05"), st.sign + " " + string(r.Verdict), r.MAC.String(), r.Serial, r.Slot, joined([]string{string(r.Code), virtual}, " ", historyColumns[5]),
		fmt.Sprintf("%.1f", r.Seconds)})
}

func tabular(cells [7]string) string {
	var b strings.Builder
	for i, c := range cells {
		b.WriteString(fit(c, historyColumns[i]) + " ")
	}
	return strings.TrimRight(b.String(), " ")
}
