package tui

import (
	"fmt"
	"strings"

	"station/internal/flow"
	"station/internal/record"
)

// roomy is the height of a tile's inside from which the small print counts as
// much as the size of the word.
const roomy = 10

// insideVerdict is a tile that shows a result: the word as large as the tile
// allows, what happened, and what to do now.
func (m *Model) insideVerdict(s *flow.SlotStatus, w, h int) []line {
	st := m.style.tone[toneOf(s)]
	strong := st.strong
	if s.Removed {
		strong = m.style.bold
	}
	sentence, action := m.say(s)
	room := h - 1 // the word
	do := m.do(s, action, w, max(1, min(room, (room+1)/2)))
	what := wrap(sentence, w, room-len(do), m.style.signs.ellipsis)
	text := asLines(what, line{center: true, rank: 2})
	text = append(text, asLines(do, line{paint: strong, center: true, rank: 1})...)
	free := h - len(text)
	if h >= roomy {
		free -= 3 // the facts, with space around them
	}
	lines := m.word(s, w, free)
	lines = append(append(lines, line{rank: 9}), text...)
	if facts := m.facts(s, w); facts != "" {
		lines = append(lines, line{rank: 9}, line{text: facts, center: true, rank: 4})
	}
	if m.named(s, w) {
		lines = append(lines, line{text: s.MAC.String(), center: true, rank: 3})
	}
	return ranked(append(lines, m.hintLines(s, w, 2)...), h)
}

// say is the sentence and the action, as things stand in the slot now.
func (m *Model) say(s *flow.SlotStatus) (sentence, action string) {
	sentence, action = m.lang.sentence(s)
	switch {
	case m.unseen[s.Name]:
		action += " " + fmt.Sprintf(m.lang.ackNow, m.lang.space)
	case m.status.Owes(s.MAC):
		action = fmt.Sprintf(m.lang.putBackMAC, s.MAC)
	case s.Removed && s.Verdict == record.Retry && s.MAC.IsZero():
		action = m.lang.putBack
	case s.Removed && m.ready():
		action = strings.TrimSpace(m.lang.free + " " + m.hand(s))
	case s.Removed:
		action = m.lang.taken
	case m.ready() && m.hand(s) != "": // nobody can tell when it is taken out
		action += " " + fmt.Sprintf(m.lang.nextByHand, m.hand(s))
	}
	return sentence, action
}

// short is what to do in the fewest words, for where the sentence does not fit:
// "put it back" and "take it out" must not be cut to look alike.
func (m *Model) short(s *flow.SlotStatus) string {
	switch {
	case m.status.Owes(s.MAC), s.Code == "E-CLOSED" && !s.Removed:
		return m.lang.shorts[record.Retry]
	case s.Removed:
		return m.lang.taken
	}
	return m.lang.shorts[s.Verdict]
}

// do is the action in at most n lines of w cells, whole or in its short form.
func (m *Model) do(s *flow.SlotStatus, action string, w, n int) []string {
	if lines := wrap(action, w, n+1, ""); len(lines) <= n {
		return lines
	}
	return wrap(m.short(s), w, n, m.style.signs.ellipsis)
}

func asLines(texts []string, like line) []line {
	lines := make([]line, len(texts))
	for i, t := range texts {
		like.text = t
		lines[i] = like
	}
	return lines
}

// word is the verdict with its sign: in block letters where they fit into w
// cells and h lines, else on one line.
func (m *Model) word(s *flow.SlotStatus, w, h int) []line {
	st := m.style.tone[toneOf(s)]
	word, own := string(s.Verdict), m.lang.verdicts[s.Verdict]
	if own != "" {
		h -= 2
	}
	letters := biggest(w, h, m.style.ascii, st.glyph+" "+word, word)
	if letters == nil {
		text := strings.TrimSpace(st.sign + " " + word + " " + own)
		paint := st.strong
		if s.Removed {
			paint = m.style.bold
		}
		return []line{{text: text, paint: paint, center: true}}
	}
	lines := asLines(letters, line{center: true})
	if own != "" {
		lines = append(lines, line{rank: 9}, line{text: own, paint: st.strong, center: true})
	}
	return lines
}

// biggest draws the first text that comes out higher than those after it.
func biggest(w, h int, ascii bool, texts ...string) []string {
	var best []string
	for _, text := range texts {
		if lines := big(text, w, h, ascii); len(lines) > len(best) {
			best = lines
		}
	}
	return best
}

// facts are the small print: code, time, visits.
func (m *Model) facts(s *flow.SlotStatus, w int) string {
	parts := []string{s.Code}
	if s.Seconds > 0 {
		parts = append(parts, fmt.Sprintf(m.lang.sec, decimal(s.Seconds)))
	}
	if s.Visits > 1 {
		parts = append(parts, fmt.Sprintf(m.lang.visit, s.Visits))
	}
	if s.Tried > 1 {
		parts = append(parts, fmt.Sprintf(m.lang.passedOf, s.Passed, s.Tried))
	}
	return joined(parts, m.style.signs.sep, w)
}

// decimal shows tenths only where they matter.
func decimal(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
