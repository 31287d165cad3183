package tui

import (
	"fmt"
	"strings"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
)

// planDialog shows what will be burned and wants the digest's first
// characters: whoever types them has looked at the plan.
type planDialog struct {
	question
	text textinput.Model
	plan *Plan // nil while it is being read
	top  int   // first line shown
	rows int   // lines of the plan as drawn last
}

// planMsg is the plan, or why there is none.
type planMsg struct {
	plan Plan
	err  error
}

// typedDigest is how many characters approve a plan: enough that nobody types
// them without looking, few enough for gloves.
const typedDigest = 6

func (d *planDialog) load(s *Shift) tea.Cmd {
	d.busy = true
	read := s.Plan
	return func() tea.Msg {
		plan, err := read()
		return planMsg{plan, err}
	}
}

// word is what has to be typed.
func (d *planDialog) word() string {
	digest := strings.TrimPrefix(d.plan.Digest, "sha256:")
	return digest[:min(typedDigest, len(digest))]
}

func (d *planDialog) keys(m *Model) []binding {
	var out []binding
	if d.plan != nil && !d.busy {
		if strings.EqualFold(strings.TrimSpace(d.text.Value()), d.word()) {
			out = append(out, bind(func() tea.Cmd { return d.approve(m) }, m.lang.enter, m.lang.approve, "enter"))
		}
		out = append(out, m.scrollKey(&d.top, len(d.plan.Lines)+len(d.plan.Warnings)))
	}
	return append(out, m.leaveKey())
}

func (d *planDialog) approve(m *Model) tea.Cmd {
	ask, digest := m.cfg.Shift.Approve, d.plan.Digest
	return d.ask(func() error { return ask(digest) })
}

func (d *planDialog) update(m *Model, msg tea.Msg) tea.Cmd {
	if p, ok := msg.(planMsg); ok {
		return d.loaded(m, p)
	}
	switch good, mine := d.answered(msg); {
	case good:
		return d.done(m)
	case mine, d.busy, d.plan == nil:
		return nil
	}
	var cmd tea.Cmd
	d.text, cmd = d.text.Update(msg)
	return cmd
}

func (d *planDialog) loaded(m *Model, p planMsg) tea.Cmd {
	d.busy, d.err = false, p.err
	if p.err != nil {
		return nil
	}
	if p.plan.Approved || m.cfg.Shift.Approve == nil {
		return d.done(m)
	}
	d.plan = &p.plan
	return nil
}

func (d *planDialog) done(m *Model) tea.Cmd {
	m.asked.plan = true
	return m.openShift()
}

func (d *planDialog) view(m *Model, w, h int) []string {
	if d.plan == nil {
		return d.said(m, w)
	}
	lines := []string{m.style.title.s(fmt.Sprintf(m.lang.planTitle, d.plan.Job, d.plan.Revision))}
	lines = append(lines, wrap(m.lang.planIntro, w, 2, m.style.signs.ellipsis)...)
	foot := append([]string{"", cut(d.plan.Digest, w, m.style.signs.ellipsis)}, wrap(fmt.Sprintf(m.lang.planAsk, typedDigest), w, 2, "")...)
	foot = append(foot, d.text.View())
	foot = append(foot, d.said(m, w)...)
	body := d.lines(m, w)
	room := max(h-len(lines)-len(foot)-1, 1)
	return append(append(append(lines, ""), window(body, d.top, room)...), foot...)
}

// lines is the plan fuse by fuse.
func (d *planDialog) lines(m *Model, w int) []string {
	var out []string
	for _, text := range d.plan.Warnings {
		out = append(out, m.style.alarm.s(cut("! "+text, w, m.style.signs.ellipsis)))
	}
	field := 0
	for _, l := range d.plan.Lines {
		field = max(field, width(l.Field))
	}
	field = min(field, w/2)
	for _, l := range d.plan.Lines {
		change := fmt.Sprintf("%s %s %s", l.Old, m.style.signs.arrow, l.New)
		text := fit(cut(l.Field, field, m.style.signs.ellipsis), field) + "  " + m.style.bold.s(change)
		out = append(out, text, "   "+cut(m.lang.fuse(l.Field, l.About), w-3, m.style.signs.ellipsis))
	}
	return out
}
