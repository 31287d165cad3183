package tui

import (
	"fmt"
	"strings"

	"station/internal/board"
	"station/internal/record"
)

// roomy is the height of a tile's inside from which the small print counts as
// much as the size of the word.
const roomy = 10

// insideVerdict is a tile that shows a result: the word as large as the tile
// allows, what happened, and what to do now.
func (m *Model) insideVerdict(s *board.SlotStatus, w, h int) []line {
	text, free := m.verdictText(s, w, h)
	lines := m.word(s, w, free, m.limit(s, h))
	lines = append(append(lines, line{rank: 9}), text...)
	if facts := m.facts(s, w); facts != "" {
		lines = append(lines, line{rank: 9}, line{text: facts, center: true, rank: 4})
	}
	if m.named(s, w) {
		lines = append(lines, line{text: s.MAC.String(), center: true, rank: 3})
	}
	return ranked(append(lines, m.hintLines(s, w, 2)...), h)
}

// leastLetters is the height of the smallest block letters.
const leastLetters = 3

// verdictText is what happened and what to do, in at most h lines of w cells,
// and how many are left for the word. The word in block letters comes first.
func (m *Model) verdictText(s *board.SlotStatus, w, h int) (text []line, free int) {
	strong := m.style.tone[toneOf(s)].strong
	if s.Removed {
		strong = m.style.bold
	}
	room := h - 1
	if h > leastLetters {
		room = h - leastLetters
	}
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

// limit is the most lines that the word of a device that passed may have: no
// worse verdict in the frame is smaller.
func (m *Model) limit(s *board.SlotStatus, h int) int {
	limit := h
	if s.Verdict != record.Pass {
		return limit
	}
	g, body := m.grid(), m.bodyHeight()
	for i, other := range m.status.Slots {
		if other.Busy || other.Verdict == "" || other.Verdict == record.Pass || limit == 0 {
			continue
		}
		w, h := share(m.width, g.cols, i%g.cols)-4, share(body, g.rows, i/g.cols)-2
		_, free := m.verdictText(other, w, h)
		letters, _ := m.letters(other, w, free)
		limit = min(limit, len(letters))
	}
	return limit
}

// letters are slot and verdict in block letters where they fit: with the word,
// or else with its sign and the word below.
func (m *Model) letters(s *board.SlotStatus, w, h int) (lines []string, whole bool) {
	glyph, word := m.style.tone[toneOf(s)].glyph, string(s.Verdict)
	if m.lang.verdicts[s.Verdict] != "" {
		h -= 2
	}
	name := strings.ToUpper(s.Name)
	if !drawable(name) {
		return biggest(w, h, m.style.ascii, glyph+" "+word, word), true
	}
	if lines := biggest(w, h, m.style.ascii, name+" "+glyph+" "+word, name+" "+word); lines != nil {
		return lines, true
	}
	return biggest(w, h-1, m.style.ascii, name+" "+glyph), false
}

// say is the sentence and the action, as things stand in the slot now.
func (m *Model) say(s *board.SlotStatus) (sentence, action string) {
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
func (m *Model) short(s *board.SlotStatus) string {
	switch {
	case m.status.Owes(s.MAC), s.Code == "E-CLOSED" && !s.Removed:
		return m.lang.shorts[record.Retry]
	case s.Removed:
		return m.lang.taken
	}
	return m.lang.shorts[s.Verdict]
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
// cells and h lines, of at most limit lines, else on one line.
func (m *Model) word(s *board.SlotStatus, w, h, limit int) []line {
	st := m.style.tone[toneOf(s)]
	word, own := string(s.Verdict), m.lang.verdicts[s.Verdict]
	paint := st.strong
	if s.Removed {
		paint = m.style.bold
	}
	if own != "" {
		limit += 2
	}
	letters, whole := m.letters(s, w, min(h, limit))
	if letters == nil {
		text := strings.TrimSpace(s.Name + " " + st.sign + " " + word + " " + own)
		return []line{{text: text, paint: paint, center: true}}
	}
	lines := asLines(letters, line{center: true})
	below := own
	if !whole {
		below = strings.TrimSpace(word + " " + own)
	}
	if below != "" {
		lines = append(lines, line{text: below, paint: st.strong, center: true})
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
func (m *Model) facts(s *board.SlotStatus, w int) string {
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
