package tui

import (
	"fmt"
	"strings"
)

// The smallest window that says anything.
const (
	leastWidth  = 24
	leastHeight = 6
)

// View draws the whole window: exactly height lines, none wider than width.
func (m *Model) View() string {
	if m.width <= 0 || m.height <= 0 {
		return ""
	}
	if m.width < leastWidth || m.height < leastHeight {
		return strings.Join(block([]string{m.lang.tooSmall}, m.width, m.height), "\n")
	}
	head, foot := m.header(), m.footer()
	h := m.height - len(head) - len(foot)
	var body []string
	if m.dialog != nil {
		body = m.framed(m.dialog.view(m, m.width-4, h-2), h)
	} else {
		body = m.line(h)
	}
	if len(body) == 0 {
		body = []string{"", center(m.lang.wait, m.width)}
	}
	lines := append(append(head, block(body, m.width, h)...), foot...)
	return strings.Join(lines, "\n")
}

// block makes the lines exactly h lines of w cells.
func block(lines []string, w, h int) []string {
	out := make([]string, max(h, 0))
	for i := range out {
		if i < len(lines) {
			out[i] = fit(lines[i], w)
		} else {
			out[i] = strings.Repeat(" ", w)
		}
	}
	return out
}

// framed is a dialogue in the place of the line.
func (m *Model) framed(lines []string, h int) []string {
	f := m.style.tone[idle].frame
	w := m.width
	out := []string{f.tl + strings.Repeat(f.t, w-2) + f.tr}
	for _, l := range block(lines, w-4, h-2) {
		out = append(out, f.l+" "+l+" "+f.r)
	}
	return append(out, f.bl+strings.Repeat(f.b, w-2)+f.br)
}

// bodyHeight is what header and footer leave.
func (m *Model) bodyHeight() int { return m.height - len(m.header()) - m.footHeight() }

// inner is the room in the frame of a dialogue.
func (m *Model) inner() (w, h int) { return m.width - 4, m.bodyHeight() - 2 }

func (m *Model) grid() grid {
	return layout(len(m.status.Slots), m.width, m.bodyHeight(), m.leastStrip(), m.cfg.Columns, m.chosen)
}

// box is where the i-th tile of the grid stands, in a body of h lines.
func (m *Model) box(g grid, h, i int) box {
	b := box{w: share(m.width, g.cols, i%g.cols), h: g.h, framed: g.w >= framedWidth && g.h >= framedHeight}
	if b.framed {
		b.h = share(h, g.rows, i/g.cols)
	}
	b.chosen = g.first+i == m.chosen && len(m.status.Slots) > 1
	return b
}

// line draws the tiles.
func (m *Model) line(h int) []string {
	g := layout(len(m.status.Slots), m.width, h, m.leastStrip(), m.cfg.Columns, m.chosen)
	most := m.limits(g, h)
	var out []string
	for row := range g.rows {
		var tiles [][]string
		for i := row * g.cols; i < min((row+1)*g.cols, g.n); i++ {
			b := m.box(g, h, i)
			b.most = most
			tiles = append(tiles, m.tile(m.status.Slots[g.first+i], b))
		}
		for y := range m.box(g, h, row*g.cols).h {
			var b strings.Builder
			for _, t := range tiles {
				b.WriteString(t[y])
			}
			out = append(out, b.String())
		}
	}
	if g.n < len(m.status.Slots) {
		out = append(block(out, m.width, h-1), fmt.Sprintf(m.lang.more, g.first+1, g.first+g.n, len(m.status.Slots)))
	}
	return out
}
