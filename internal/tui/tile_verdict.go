package tui

import (
	"fmt"
	"strings"

	"station/internal/board"
	"station/internal/record"
	"station/internal/words"
)

// roomy is the height of a tile's inside from which the small print counts as
// much as the size of the word.
const roomy = 10

// insideVerdict is a tile that shows a result: the word as large as the tile
// allows, what happened, and what to do now.
func (m *Model) insideVerdict(s *board.SlotStatus, w, h int, most limit) []line {
	text, free := m.verdictText(s, w, h)
	lines := m.word(s, w, free, most)
	lines = append(append(lines, line{rank: 9}), text...)
	if facts := m.facts(s, w); facts != "" {
		lines = append(lines, line{rank: 9}, line{text: facts, center: true, rank: 4})
	}
	if m.named(s, w) {
		lines = append(lines, line{text: cutLeft(s.MAC.String(), w, m.style.signs.ellipsis), center: true, rank: 3})
	}
	return ranked(append(lines, m.hintLines(s, w, 2)...), h)
}

// leastLetters is the height of the smallest block letters.
const leastLetters = 3

// verdictText is what happened and what to do, in at most h lines of w cells,
// and how many are left for the word. The word in block letters comes first.
func (m *Model) verdictText(s *board.SlotStatus, w, h int) (text []line, free int) {
	strong := m.style.tone[words.ToneOf(s)].strong
	if s.Removed {
		strong = m.style.bold
	}
	room := h - max(m.verdictHead(s, w, min(h-1, leastLetters+1)).lines(), 1)
	sentence, action := m.say(s)
	do := m.do(s, action, w, max(1, min(room, (room+1)/2)))
	what := wrap(sentence, w, room-len(do), m.style.signs.ellipsis)
	text = asLines(what, line{center: true, rank: 2})
	text = append(text, asLines(do, line{paint: strong, center: true, rank: 1})...)
	free = h - len(text)
	if h >= roomy {
		free -= 3 // the facts, with space around them
	}
	return text, free
}

// say is the sentence and the action, as things stand in the slot now.
func (m *Model) say(s *board.SlotStatus) (sentence, action string) {
	sentence, action = m.lang.Sentence(s)
	switch {
	case m.unseen[s.Name]:
		action += " " + fmt.Sprintf(m.lang.ackNow, m.lang.space)
	case m.status.Owes(s.MAC):
		action = fmt.Sprintf(m.lang.PutBackMAC, s.MAC)
	case s.Removed && s.Verdict == record.Retry && s.MAC.IsZero():
		action = m.lang.PutBack
	case s.Removed && m.ready():
		action = strings.TrimSpace(m.lang.Free + " " + m.hand(s))
	case s.Removed:
		action = m.lang.Taken
	case m.ready() && m.hand(s) != "": // nobody can tell when it is taken out
		action += " " + fmt.Sprintf(m.lang.NextByHand, m.hand(s))
	}
	return sentence, action
}

// short is what to do in the fewest words, for where the sentence does not fit:
// "put it back" and "take it out" must not be cut to look alike.
func (m *Model) short(s *board.SlotStatus) string {
	switch {
	case m.status.Owes(s.MAC), s.Code == "E-CLOSED" && !s.Removed:
		return m.lang.Shorts[record.Retry]
	case s.Removed:
		return m.lang.Taken
	}
	return m.lang.Shorts[s.Verdict]
}

// do is the action in at most n lines of w cells, whole or in its short form.
func (m *Model) do(s *board.SlotStatus, action string, w, n int) []string {
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

// word is the slot with its verdict: in block letters where they fit into w
// cells and h lines, else on one line.
func (m *Model) word(s *board.SlotStatus, w, h int, most limit) []line {
	st := m.style.tone[words.ToneOf(s)]
	word, translated := string(s.Verdict), m.lang.Verdicts[s.Verdict]
	paint := st.strong
	if s.Removed {
		paint = m.style.bold
	}
	head := m.verdictHead(s, w, h)
	if s.Verdict == record.Pass {
		head = m.passHead(s, w, h, most)
	}
	if head.plain() {
		return []line{{text: m.plainWord(s, st.sign+" "+word, translated, w), paint: paint, center: true}}
	}
	return m.drawHead(head, inherited, paint)
}

// inherited leaves a line in the paint of its tile.
var inherited paint

// plainWord is slot, sign and word on one line of w cells. The word is never
// cut for a name, and the end of a name tells slots apart.
func (m *Model) plainWord(s *board.SlotStatus, word, translated string, w int) string {
	name := cutLeft(s.Name, max(w-width(word)-1, 0), m.style.signs.ellipsis)
	return joined([]string{strings.TrimSpace(name + " " + word), translated}, " ", w)
}

// facts are the small print: code, time, visits.
func (m *Model) facts(s *board.SlotStatus, w int) string {
	parts := []string{string(s.Code)}
	if s.Seconds > 0 {
		parts = append(parts, fmt.Sprintf(m.lang.Sec, decimal(s.Seconds)))
	}
	if s.Visits > 1 {
		parts = append(parts, fmt.Sprintf(m.lang.Visit, s.Visits))
	}
	if s.Tried > 1 {
		parts = append(parts, fmt.Sprintf(m.lang.PassedOf, s.Passed, s.Tried))
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
