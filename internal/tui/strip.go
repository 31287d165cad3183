package tui

import (
	"fmt"
	"strings"

	"station/internal/board"
	"station/internal/words"
)

// strip draws a slot without a frame, for windows with many slots: the state
// on the first line, then what there is room for.
func (m *Model) strip(s *board.SlotStatus, w, h int, chosen bool) []string {
	w-- // a gap to the next one
	t := words.ToneOf(s)
	st := m.style.tone[t]
	mark := " "
	if chosen {
		mark = m.style.signs.mark
	}
	right := ""
	switch {
	case s.Virtual:
		right = pick(w >= 28, virtualMark, "SIM")
	case h == 1 && t == working && s.Total > 0:
		right = m.far(s)
	case h == 1 && !s.MAC.IsZero() && w >= 40:
		right = s.MAC.String()
	}
	if right != "" {
		right = " " + right
	}
	name, what := fit(cutLeft(s.Name, m.nameWidth(), m.style.signs.ellipsis), m.nameWidth()), m.stripState(s, st)
	if _, verdict := words.TonesOf[s.Verdict]; verdict && !s.Busy { // the language's own word only where it fits
		what = joined([]string{st.sign + " " + string(s.Verdict), m.lang.Verdicts[s.Verdict]}, " ", w-m.nameWidth()-2-width(right))
	}
	state := mark + name + " " + what
	if t == held && width(state) > w {
		state = m.lang.holdShort // never cut for a name
	}
	first := sides(cut(state, w-width(right), m.style.signs.ellipsis), right, w)
	if width(state)+width(right) >= w {
		first = fit(cut(state, w-width(right), m.style.signs.ellipsis)+right, w)
	}
	p := st.strong
	if t == idle || t == working || t == scanning && s != m.waiting() || s.Removed {
		p = m.style.bold
	}
	lines := []string{p.s(first) + " "}
	for _, text := range m.stripMore(s, w) {
		lines = append(lines, fit(text, w)+" ")
	}
	for len(lines) < h {
		lines = append(lines, strings.Repeat(" ", w+1))
	}
	return lines[:h]
}

func (m *Model) stripState(s *board.SlotStatus, st toneStyle) string {
	switch t := words.ToneOf(s); {
	case t == idle:
		return st.sign + " " + pick(m.ready(), m.lang.Ready, m.lang.Empty)
	case t == held:
		return "! " + m.lang.holdShort
	case t == scanning && s == m.waiting():
		return st.sign + " " + m.lang.scanShort
	case t == scanning:
		return m.style.tone[working].sign + " " + m.lang.scanLater
	case s.Busy:
		return st.sign + " " + m.lang.StepTitle(s.Step, s.Title)
	}
	return strings.TrimSpace(fmt.Sprintf("%s %s %s", st.sign, s.Verdict, m.lang.Verdicts[s.Verdict]))
}

// nameWidth lines the states up below each other.
func (m *Model) nameWidth() int {
	w := 0
	for _, s := range m.status.Slots {
		w = max(w, width(s.Name))
	}
	return min(w, 8)
}

// leastStrip is the width in which a slot has its name, a space on each side,
// and the longest that it says: DO NOT UNPLUG with a sign.
func (m *Model) leastStrip() int {
	return m.nameWidth() + 3 + len("! ") + max(width(m.lang.holdShort), len("DO NOT UNPLUG"))
}

// stripMore are the lines below the state.
func (m *Model) stripMore(s *board.SlotStatus, w int) []string {
	var lines []string
	switch {
	case s.Held:
		lines = append(lines, "  "+sides(m.lang.StepTitle(s.Step, s.Title), m.far(s), w-2))
	case s.Busy && s.Total > 0:
		lines = append(lines, m.bar(s, w-6)+" "+m.far(s))
	case !s.Busy && s.Verdict != "":
		if _, action := m.say(s); words.ToneOf(s) != pass && (!s.Removed || m.status.Owes(s.MAC)) {
			for _, text := range m.do(s, action, w-2, 1) {
				lines = append(lines, "  "+text)
			}
		}
	}
	if !s.MAC.IsZero() {
		lines = append(lines, "  "+m.style.dim.s(s.MAC.String()))
	}
	if hint := m.lang.Hint(s); hint != "" {
		lines = append(lines, cut(hint, w, m.style.signs.ellipsis))
	}
	return lines
}
