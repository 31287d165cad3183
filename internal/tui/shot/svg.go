package main

import (
	"encoding/xml"
	"fmt"
	"strconv"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// The size of a cell, and the colours of a terminal that sets none.
const (
	cellWidth, cellHeight = 8.4, 16.0
	fontSize              = 14
	background            = "#0c0c0c"
	foreground            = "#e6e6e6"
)

// pen is how the next characters look. Colours are "#rrggbb" or empty.
type pen struct {
	fg, bg        string
	bold, reverse bool
}

func (p pen) colours() (fg, bg string) {
	fg, bg = p.fg, p.bg
	if fg == "" {
		fg = foreground
	}
	if p.reverse {
		if bg == "" {
			bg = background
		}
		return bg, fg
	}
	return fg, bg
}

// span is a stretch of one line that looks the same.
type span struct {
	pen
	x, cells int
	text     string
}

// svg draws a frame as the screen's View gives it: text and SGR sequences in
// true colour, nothing else.
func svg(frame, title string) (string, error) {
	lines := strings.Split(frame, "\n")
	cols := 0
	for _, l := range lines {
		cols = max(cols, ansi.StringWidth(l))
	}
	w, h := float64(cols)*cellWidth, float64(len(lines))*cellHeight
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" role="img" font-family="'DejaVu Sans Mono', 'Noto Sans Mono CJK SC', Menlo, Consolas, monospace" font-size="%d">`+"\n",
		number(w), number(h), fontSize)
	fmt.Fprintf(&b, "<title>%s</title>\n<rect width=\"100%%\" height=\"100%%\" fill=\"%s\"/>\n", escape(title), background)
	for y, l := range lines {
		spans, err := parse(l)
		if err != nil {
			return "", fmt.Errorf("line %d: %w", y+1, err)
		}
		for _, r := range spans {
			r.draw(&b, y)
		}
	}
	b.WriteString("</svg>\n")
	return b.String(), nil
}

// parse cuts a line into spans.
func parse(line string) ([]span, error) {
	var spans []span
	var p pen
	x := 0
	for line != "" {
		if strings.HasPrefix(line, "\x1b[") {
			end := strings.IndexByte(line, 'm')
			if end < 0 {
				return nil, fmt.Errorf("%.10q is no colour", line)
			}
			if err := p.apply(line[2:end]); err != nil {
				return nil, err
			}
			line = line[end+1:]
			continue
		}
		end := strings.IndexByte(line, '\x1b')
		if end < 0 {
			end = len(line)
		}
		cells := ansi.StringWidth(line[:end])
		spans = append(spans, span{p, x, cells, line[:end]})
		x += cells
		line = line[end:]
	}
	return spans, nil
}

// apply takes the parameters of one SGR sequence.
func (p *pen) apply(sgr string) error {
	args := strings.Split(sgr, ";")
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "", "0":
			*p = pen{}
		case "1":
			p.bold = true
		case "7":
			p.reverse = true
		case "38", "48":
			if i+4 >= len(args) || args[i+1] != "2" {
				return fmt.Errorf("SGR %s is not true colour", sgr)
			}
			c, err := hex(args[i+2 : i+5])
			if err != nil {
				return fmt.Errorf("SGR %s: %w", sgr, err)
			}
			if args[i] == "38" {
				p.fg = c
			} else {
				p.bg = c
			}
			i += 4
		default:
			return fmt.Errorf("SGR %s is not known", sgr)
		}
	}
	return nil
}

func hex(args []string) (string, error) {
	out := "#"
	for _, a := range args {
		n, err := strconv.ParseUint(a, 10, 8)
		if err != nil {
			return "", err
		}
		out += fmt.Sprintf("%02x", n)
	}
	return out, nil
}

// draw writes the span's background, its blocks as rectangles without gaps, and
// its text stretched to its cells, so that any font lines up.
func (r span) draw(b *strings.Builder, y int) {
	fg, bg := r.colours()
	left, top := float64(r.x)*cellWidth, float64(y)*cellHeight
	if bg != "" {
		rect(b, left, top, float64(r.cells)*cellWidth, cellHeight, bg, "")
	}
	x := left
	var text strings.Builder
	begin := x
	flush := func() {
		if s := text.String(); strings.TrimSpace(s) != "" {
			weight := ""
			if r.bold {
				weight = ` font-weight="bold"`
			}
			fmt.Fprintf(b, `<text x="%s" y="%s" fill="%s"%s textLength="%s" xml:space="preserve">%s</text>`+"\n",
				number(begin), number(top+12.5), fg, weight, number(x-begin), escape(s))
		}
		text.Reset()
	}
	for _, c := range r.text {
		w := float64(ansi.StringWidth(string(c))) * cellWidth
		if shape, ok := blocks[c]; ok {
			flush()
			rect(b, x, top+shape.top*cellHeight, w, shape.height*cellHeight, fg, shape.opacity)
			x += w
			begin = x
			continue
		}
		text.WriteRune(c)
		x += w
	}
	flush()
}

// blocks are the characters that are drawn instead of written.
var blocks = map[rune]struct {
	top, height float64
	opacity     string
}{
	'█': {0, 1, ""}, '▀': {0, 0.5, ""}, '▄': {0.5, 0.5, ""}, '░': {0, 1, "0.25"}, '▒': {0, 1, "0.5"},
}

func rect(b *strings.Builder, x, y, w, h float64, fill, opacity string) {
	if opacity != "" {
		opacity = ` opacity="` + opacity + `"`
	}
	fmt.Fprintf(b, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"%s shape-rendering="crispEdges"/>`+"\n", number(x), number(y), number(w), number(h), fill, opacity)
}

func number(v float64) string { return strconv.FormatFloat(v, 'f', -1, 32) }

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s))
	return b.String()
}
