package tui

import (
	"strings"

	"station/internal/board"
	"station/internal/record"
	"station/internal/words"
)

// What a tile says first, and largest: the name of its slot and how things
// stand there, in block letters where they fit.

// heading is name and state of a slot in block letters of some size.
type heading struct {
	text  string // in block letters; empty where none fit
	scale scale
	name  string // on a line above: a name without block letters, or too long
	sign  bool   // the sign alone, without the word
	below string // on a line below: the word, or what it is in the language
}

// lines is how high all of it is.
func (h heading) lines() int {
	n := h.scale.lines()
	for _, line := range []string{h.name, h.below} {
		if line != "" {
			n++
		}
	}
	return n
}

// plain is the heading where no block letters fit.
func (h heading) plain() bool { return h.scale.x < 1 || h.scale.y < 1 }

// letter is the name of a slot as block letters have it; empty where they lack
// a character of it.
func letter(s *board.SlotStatus) string {
	if name := strings.ToUpper(s.Name); drawable(name) {
		return name
	}
	return ""
}

// head finds the heading of a slot: its name and one of the forms, or the name
// on a line above where it does not fit beside any. The largest of the first
// forms counts, so many as are whole. full stands below those, and word below
// another one, which is taken only where none of them fits.
func (m *Model) head(s *board.SlotStatus, w, h, whole int, full, word string, forms ...string) heading {
	try := func(name, above string) (best heading) {
		for i, form := range forms {
			next := heading{text: strings.TrimSpace(name + " " + form), name: above, below: full}
			if i >= whole {
				next.below, next.sign = word, true
			}
			next.scale = fitting(next.text, w, h-next.lines(), m.style.ascii)
			if best.plain() || i < whole && next.lines() > best.lines() {
				best = next
			}
		}
		return best
	}
	if name := letter(s); name != "" {
		if beside := try(name, ""); !beside.plain() {
			return beside
		}
	}
	if above := try("", s.Name); !above.plain() {
		return above
	}
	return heading{}
}

// drawHead are the lines of a heading.
func (m *Model) drawHead(h heading, letters, words paint) []line {
	var out []line
	if h.plain() {
		return nil
	}
	if h.name != "" {
		out = append(out, line{text: h.name, paint: words, center: true})
	}
	out = append(out, asLines(h.scale.draw(h.text, m.style.ascii), line{paint: letters, center: true})...)
	if h.below != "" {
		out = append(out, line{text: h.below, paint: words, center: true})
	}
	return out
}

// verdictHead is the heading of a slot with a result: its name and the word.
func (m *Model) verdictHead(s *board.SlotStatus, w, h int) heading {
	glyph, word, translated := m.style.tone[words.ToneOf(s)].glyph, string(s.Verdict), m.lang.Verdicts[s.Verdict]
	return m.head(s, w, h, 2, translated, strings.TrimSpace(word+" "+translated), glyph+" "+word, word, glyph)
}

// limit is the most that a device that passed, or a free slot, may show of itself:
// no worse verdict in the frame is smaller.
type limit struct {
	scale scale
	sign  bool // a worse one shows its sign alone in block letters
}

var noLimit = limit{scale: scale{1 << 20, 1 << 20}}

// limits goes through the worse verdicts of the frame.
func (m *Model) limits(g grid, body int) limit {
	least := noLimit
	for i := range g.n {
		s := m.status.Slots[g.first+i]
		if s.Busy || s.Verdict == "" || s.Verdict == record.Pass {
			continue
		}
		b := m.box(g, body, i)
		_, free := m.verdictText(s, b.w-4, b.h-2)
		h := m.verdictHead(s, b.w-4, free)
		least.scale = least.scale.atMost(h.scale)
		least.sign = least.sign || h.sign
	}
	return least
}

// passHead is the heading of a device that passed, within the limit.
func (m *Model) passHead(s *board.SlotStatus, w, h int, most limit) heading {
	head := m.verdictHead(s, w, h)
	if most.sign && !head.sign {
		below := strings.TrimSpace(string(s.Verdict) + " " + m.lang.Verdicts[s.Verdict])
		head = m.head(s, w, h, 0, "", below, m.style.tone[pass].glyph)
	}
	head.scale = head.scale.atMost(most.scale)
	return head
}
