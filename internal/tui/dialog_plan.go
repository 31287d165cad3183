package tui

import (
	"fmt"
	"slices"
	"strings"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
)

// planDialog shows what will be written and burned and wants the digest's first
// characters: whoever types them has looked at the plan.
type planDialog struct {
	question
	text  textinput.Model
	plan  *Plan // nil while it is being read
	top   int   // first line shown
	named bool  // who approves has said so, where that is another person
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
		switch typed := strings.TrimSpace(d.text.Value()); {
		case !d.read(m):
		case d.asksWho(m) && typed != "":
			out = append(out, bind(func() tea.Cmd { return d.name(m, typed) }, m.lang.enter, m.lang.kOK, "enter"))
		case !d.asksWho(m) && strings.EqualFold(typed, d.word()):
			out = append(out, bind(func() tea.Cmd { return d.approve(m) }, m.lang.enter, m.lang.approve, "enter"))
		case typed != "":
			out = append(out, bind(func() tea.Cmd { return d.wrong(m, typed) }, "", "", "enter"))
		}
		w, _ := m.inner()
		out = append(out, m.scrollKeys(&d.top, len(d.lines(m, w)), d.room(m))...)
	}
	return append(out, m.leaveKey())
}

// asksWho tells that somebody else than the operator has to say first who
// approves.
func (d *planDialog) asksWho(m *Model) bool { return d.plan.Other && !d.named }

func (d *planDialog) name(m *Model, id string) tea.Cmd {
	d.err = m.cfg.Shift.Approver(id)
	d.named = d.err == nil
	d.text.Reset()
	return nil
}

// wrong answers what is not the digest; nothing is approved.
func (d *planDialog) wrong(m *Model, typed string) tea.Cmd {
	d.err = fmt.Errorf(m.lang.planWrong, clean(typed), typedDigest)
	if !strings.HasPrefix(strings.ToLower(d.word()), strings.ToLower(typed)) { // a beginning is gone on with
		d.text.Reset()
	}
	return nil
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
		if mine && d.named { // refused: perhaps another person may
			d.named = false
			d.text.Reset()
		}
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
	if d.plan == nil && d.err != nil {
		return d.refused(m, w, h)
	}
	if d.plan == nil {
		return d.said(m, w)
	}
	head, body, foot := d.head(m, w), d.lines(m, w), d.foot(m, w)
	return slices.Concat(head, window(body, d.top, d.room(m)), foot)
}

// refused is why there is nothing to approve, with all that differs.
func (d *planDialog) refused(m *Model, w, h int) []string {
	var out []string
	for _, text := range strings.Split(d.err.Error(), "\n") {
		for _, l := range wrap(clean(text), w, h, m.style.signs.ellipsis) {
			out = append(out, m.style.alarm.s(l))
		}
	}
	return window(out, 0, h)
}

func (d *planDialog) head(m *Model, w int) []string {
	lines := []string{m.style.title.s(cut(fmt.Sprintf(m.lang.planTitle, d.plan.Job, d.plan.Revision), w, m.style.signs.ellipsis))}
	if _, h := m.inner(); h >= middle {
		lines = append(lines, wrap(m.lang.planIntro+" "+m.lang.planForEver, w, 4, m.style.signs.ellipsis)...)
	}
	return append(lines, "")
}

// foot is the digest and the question, which comes when the plan was shown to
// its end.
func (d *planDialog) foot(m *Model, w int) []string {
	rest := strings.TrimPrefix(strings.TrimPrefix(d.plan.Digest, "sha256:"), d.word())
	lines := []string{"", cut("sha256:"+m.style.bold.s(d.word())+m.style.dim.s(rest), w, m.style.signs.ellipsis)}
	if !d.read(m) {
		return append(lines, m.style.key.s(cut(m.lang.planMore, w, m.style.signs.ellipsis)))
	}
	question := fmt.Sprintf(m.lang.planAsk, typedDigest)
	if d.asksWho(m) {
		question = m.lang.planWho
		if len(d.plan.Approvers) > 0 {
			question = fmt.Sprintf(m.lang.planWhoOf, clean(strings.Join(d.plan.Approvers, ", ")))
		}
	}
	lines = append(lines, wrap(question, w, 2, m.style.signs.ellipsis)...)
	return append(append(lines, d.text.View()), d.said(m, w)...)
}

// Lines that the question below the plan may take; that for who approves has an
// answer of two lines, which is never cut.
const (
	asking    = 6
	askingWho = 8
)

// room is how many lines of the plan are shown at once.
func (d *planDialog) room(m *Model) int {
	w, h := m.inner()
	below := asking
	if d.plan.Other {
		below = askingWho
	}
	return max(h-len(d.head(m, w))-below, 1)
}

// read reports whether the end of the plan is on the screen: nobody approves
// fuses further down.
func (d *planDialog) read(m *Model) bool {
	w, _ := m.inner()
	return d.top+d.room(m) >= len(d.lines(m, w))
}

// lines is all that is approved: warnings, mode, images, settings, and the fuses.
func (d *planDialog) lines(m *Model, w int) []string {
	var out []string
	for _, text := range d.plan.Warnings {
		for _, l := range wrap("! "+clean(text), w, 5, m.style.signs.ellipsis) {
			out = append(out, m.style.alarm.s(l))
		}
	}
	part := func(title string, list []string) {
		if len(list) > 0 {
			out = append(out, m.style.bold.s(cut(title, w, m.style.signs.ellipsis)))
		}
		for _, text := range list {
			for _, l := range wrap(clean(text), w-2, 9, m.style.signs.ellipsis) {
				out = append(out, "  "+l)
			}
		}
	}
	if d.plan.Mode != "" {
		part(fmt.Sprintf(m.lang.planMode, d.plan.Mode), []string{m.lang.modes[d.plan.Mode]})
	}
	part(m.lang.planImages, d.plan.Images)
	part(m.lang.planSettings, d.plan.Settings)
	return append(out, d.fuses(m, w)...)
}

// fuses is the plan fuse by fuse: what changes, and what that means.
func (d *planDialog) fuses(m *Model, w int) []string {
	out := []string{m.style.bold.s(cut(m.lang.planFuses, w, m.style.signs.ellipsis))}
	field, change := 0, 0
	for _, l := range d.plan.Lines {
		field, change = max(field, width(shortField(l))), max(change, width(m.change(l)))
	}
	for _, l := range d.plan.Lines {
		name := fit(shortField(l), field) + "  " + m.style.bold.s(fit(m.change(l), change))
		beside, indent := w-field-change-4, field+change+4
		if beside < 50 { // the words go below
			out = append(out, name)
			beside, indent = w-3, 3
		}
		for i, words := range wrap(m.lang.planned(l), beside, 4, m.style.signs.ellipsis) {
			if i == 0 && indent > 3 {
				out = append(out, name+"  "+words)
				continue
			}
			out = append(out, strings.Repeat(" ", indent)+words)
		}
	}
	return out
}

// shortField is "WR_DIS bit 7" for "WR_DIS bit 7 (BLOCK1)": what the bit covers
// is told in words.
func shortField(l PlanLine) string {
	name, _, _ := strings.Cut(l.Field, " (")
	return name
}

func (m *Model) change(l PlanLine) string {
	return m.lang.value(l.Old) + " " + m.style.signs.arrow + " " + m.lang.value(l.New)
}
