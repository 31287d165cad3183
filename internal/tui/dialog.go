package tui

import (
	"errors"
	"fmt"

	"github.com/charmbracelet/bubbles/cursor"
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"station/internal/flow"
)

// dialog is what stands in the place of the line while an operator is asked
// or looks something up. The line goes on meanwhile.
type dialog interface {
	keys(m *Model) []binding              // those that work now
	update(m *Model, msg tea.Msg) tea.Cmd // what no key took
	view(m *Model, w, h int) []string     // what fits into w cells and h lines
}

// back closes a dialogue.
func (m *Model) back() tea.Cmd {
	m.dialog = nil
	return nil
}

func (m *Model) backKey() binding { return bind(m.back, m.lang.esc, m.lang.kBack, "esc") }

// leaveKey ends the program from a question at the start of a shift.
func (m *Model) leaveKey() binding { return bind(m.leave, m.lang.esc, m.lang.kLeave, "esc") }

// input is one line of text to type or scan.
func (m *Model) input(limit int) textinput.Model {
	t := textinput.New()
	t.Prompt = "> "
	t.CharLimit = limit
	t.Cursor.SetMode(cursor.CursorStatic) // a blinking one would redraw an idle screen
	t.Focus()
	return t
}

// asked is what the operator has settled already at the start of the shift.
type asked struct{ job, operator, pin, plan bool }

// openShift asks the next question of the shift, or starts the line.
func (m *Model) openShift() tea.Cmd {
	s := m.cfg.Shift
	switch {
	case s == nil:
		return m.start()
	case !m.asked.job && s.Choose != nil && len(s.Jobs) > 1:
		m.dialog = &jobDialog{}
	case !m.asked.operator && s.Operator != nil:
		m.dialog = &operatorDialog{text: m.input(32)}
	case !m.asked.pin && s.PIN != nil:
		m.dialog = &pinDialog{}
	case !m.asked.plan && s.Plan != nil:
		d := &planDialog{text: m.input(64)}
		m.dialog = d
		return d.load(s)
	default:
		return m.start()
	}
	return nil
}

// answerMsg is what became of an answer given to a dialogue.
type answerMsg struct{ err error }

// question is what the dialogues of the shift have in common: an answer is
// being looked at, or was refused.
type question struct {
	busy bool
	err  error
}

// ask gives the answer to somebody who may take a while.
func (q *question) ask(check func() error) tea.Cmd {
	q.busy, q.err = true, nil
	return func() tea.Msg { return answerMsg{check()} }
}

// answered takes the verdict on the answer and reports whether it was good.
func (q *question) answered(msg tea.Msg) (good, mine bool) {
	a, ok := msg.(answerMsg)
	if !ok {
		return false, false
	}
	q.busy, q.err = false, a.err
	return a.err == nil, true
}

// said is the line below a question: please wait, or what was wrong.
func (q *question) said(m *Model, w int) []string {
	switch {
	case q.busy:
		return []string{"", m.style.dim.s(m.pleaseWait())}
	case q.err != nil:
		lines, text := []string{""}, q.err.Error()
		var f *flow.Failure
		if errors.As(q.err, &f) { // first what it means, then what an engineer wants to know
			kind := f.Kind()
			sentence, _ := m.lang.Failure(kind.Code, kind.Sentence, kind.Action)
			lines = append(lines, m.style.alarm.s(fit(sentence, w)))
		}
		for _, l := range wrap(clean(text), w, 3, m.style.signs.ellipsis) {
			if f == nil {
				l = m.style.alarm.s(l)
			}
			lines = append(lines, l)
		}
		return lines
	}
	return nil
}

// pleaseWait also tells how far the ledger is reread, which with very many devices
// takes a while.
func (m *Model) pleaseWait() string {
	if m.cfg.Shift == nil || m.cfg.Shift.Reread == nil {
		return m.lang.wait
	}
	if far := m.cfg.Shift.Reread(); far > 0 && far < 100 {
		return fmt.Sprintf("%s %s: %d %%", m.lang.wait, m.lang.ledger, far)
	}
	return m.lang.wait
}

// moved is the index after an arrow key, within n.
func moved(i, n int, key string) int {
	switch key {
	case "up":
		i--
	case "down":
		i++
	case "pgup":
		i -= 10
	case "pgdown":
		i += 10
	case "home":
		i = 0
	case "end":
		i = n - 1
	}
	return max(0, min(i, n-1))
}
