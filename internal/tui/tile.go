package tui

import (
	"fmt"
	"strings"
	"time"

	"station/internal/board"
	"station/internal/words"
)

// line is one line inside a tile.
type line struct {
	text   string
	paint  paint
	center bool
	rank   int // in a tile that is too low, lines of the highest rank go first
}

// ranked drops the lines of the highest rank until n are left.
func ranked(lines []line, n int) []line {
	for len(lines) > n && n >= 0 {
		worst := 0
		for _, l := range lines {
			worst = max(worst, l.rank)
		}
		kept := lines[:0:0]
		for _, l := range lines {
			if l.rank != worst {
				kept = append(kept, l)
			}
		}
		if len(kept) == 0 {
			return lines[:n]
		}
		lines = kept
	}
	return lines
}

// Sizes from which a tile has a frame.
const (
	framedWidth  = 18
	framedHeight = 4
)

// box is where a tile stands.
type box struct {
	w, h   int
	framed bool // all tiles of a grid have frames, or none
	chosen bool
	most   limit // of a device that passed, and of a free slot
}

// tile draws one slot into its box.
func (m *Model) tile(s *board.SlotStatus, b box) []string {
	w, h := b.w, b.h
	if !b.framed {
		return m.strip(s, w, h, b.chosen)
	}
	st := m.style.tone[words.ToneOf(s)]
	iw, ih := w-4, h-2 // a cell of space beside each edge
	body := m.inside(s, iw, ih, b.most)
	base := paint{}
	if st.fill && !s.Removed {
		base = st.paper
	}
	out := make([]string, 0, h)
	out = append(out, m.top(s, st, w, b.chosen))
	above := (ih - len(body)) / 2
	for i := range ih {
		var row string
		if i >= above && i-above < len(body) {
			row = body[i-above].draw(iw, base, m.style.signs.ellipsis)
		} else {
			row = base.s(strings.Repeat(" ", iw))
		}
		out = append(out, st.edge.s(st.frame.l)+base.s(" ")+row+base.s(" ")+st.edge.s(st.frame.r))
	}
	return append(out, m.bottom(s, st, w))
}

// draw fills w cells with the line; base is the paint of the tile.
func (l line) draw(w int, base paint, ellipsis string) string {
	n := width(l.text)
	if n > w {
		l.text = cut(l.text, w, ellipsis)
		n = width(l.text)
	}
	before := 0
	if l.center {
		before = (w - n) / 2
	}
	p := l.paint
	if p.on == "" {
		p = base
	}
	return base.s(strings.Repeat(" ", before)) + p.s(l.text) + base.s(strings.Repeat(" ", w-n-before))
}

// top is the upper edge: the slot's name, its port and the device.
func (m *Model) top(s *board.SlotStatus, st toneStyle, w int, chosen bool) string {
	name := " " + s.Name + " "
	if chosen {
		name = " " + m.style.signs.mark + " " + s.Name + " "
	}
	right := ""
	if !s.MAC.IsZero() && !m.status.Owes(s.MAC) {
		right = " " + s.MAC.String() + " "
	}
	if s.Serial != "" && w >= 60 {
		right = " " + s.Serial + right
	}
	if b := m.style.signs.mark + s.Name + " "; chosen && w-width(name)-width(right) < 4 {
		name = b // as wide as it is when it is not chosen
	}
	if w-width(name)-width(right) < 4 {
		right = ""
	}
	if room := w - width(name) - width(right) - 6; s.Port != "" && room > width(s.Port)+2 {
		name += st.frame.t + " " + s.Port + " "
	}
	name = cut(name, w-4, m.style.signs.ellipsis)
	fill := strings.Repeat(st.frame.t, max(w-3-width(name)-width(right)-1, 0))
	return st.edge.s(st.frame.tl+st.frame.t+name+fill+right+st.frame.t) + st.edge.s(st.frame.tr)
}

// virtualMark is on the tile of a virtual chip at a real station.
const virtualMark = "SIMULATED"

// bottom is the lower edge: what the slot's past says, and the watermark.
func (m *Model) bottom(s *board.SlotStatus, st toneStyle, w int) string {
	label, mark := "", ""
	if hint := m.lang.Hint(s); hint != "" && width(hint)+6 <= w {
		label = " " + hint + " "
	}
	switch {
	case m.simulated() && w >= 40+width(label):
		mark = " SIMULATION "
	case s.Virtual && w >= 20:
		mark = " " + virtualMark + " "
		if w < 20+width(label) {
			label = "" // it stands in the tile
		}
	}
	fill := strings.Repeat(st.frame.b, max(w-4-width(label)-width(mark), 0))
	return st.edge.s(st.frame.bl + st.frame.b + label + fill + mark + st.frame.b + st.frame.br)
}

// inside is what a framed tile says, at most h lines of w cells.
func (m *Model) inside(s *board.SlotStatus, w, h int, most limit) []line {
	switch t := words.ToneOf(s); {
	case t == idle:
		return m.insideIdle(s, w, h, most)
	case s.Busy:
		return m.insideWork(s, w, h)
	default:
		return m.insideVerdict(s, w, h, most)
	}
}

func (m *Model) insideIdle(s *board.SlotStatus, w, h int, most limit) []line {
	st := m.style.tone[idle]
	lines, word, forms := []line{}, m.lang.Empty, []string{""}
	if m.ready() {
		word, forms = m.lang.Ready, []string{"READY", ""}
		lines = asLines(wrap(m.lang.PlugIn, w, 2, m.style.signs.ellipsis), line{center: true, rank: 1})
		lines = append(lines, m.handLines(s, w)...)
	}
	room := max(h/2, min(leastLetters, h-1-len(lines)))
	lines = append([]line{{text: st.sign + " " + word, paint: m.style.bold, center: true}}, lines...)
	if h >= roomy {
		lines = append([]line{{rank: 2}}, lines...)
	}
	head := m.head(s, w, room, 1, "", "", forms...)
	head.scale = head.scale.atMost(most.scale)
	return ranked(append(append(m.drawHead(head, st.edge, m.style.bold), lines...), m.hintLines(s, w, 2)...), h)
}

// hand is what a person has to do at the device, which cannot be reset over its
// port.
func (m *Model) hand(s *board.SlotStatus) string {
	return m.lang.Hands[s.Hand]
}

func (m *Model) handLines(s *board.SlotStatus, w int) (lines []line) {
	for _, text := range wrap(m.hand(s), w, 2, m.style.signs.ellipsis) {
		lines = append(lines, line{text: text, paint: m.style.bold, center: true, rank: 1})
	}
	return lines
}

// ready reports whether a device that is plugged in now would be started.
func (m *Model) ready() bool {
	return !m.paused && !m.stopping && m.status.Halt == nil && !m.status.Done
}

// hintLines tell the hint where the tile's edge is too short for it.
func (m *Model) hintLines(s *board.SlotStatus, w, n int) []line {
	hint := m.lang.Hint(s)
	if hint == "" || width(hint)+2 <= w {
		return nil
	}
	var lines []line
	for _, text := range wrap(hint, w, n, m.style.signs.ellipsis) {
		lines = append(lines, line{text: text, center: true, rank: 8})
	}
	return lines
}

// clock is a duration as minutes and seconds.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
