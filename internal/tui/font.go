package tui

import "strings"

// glyphs are the block letters, five rows of pixels each. The signs of the
// verdicts are letters too: v is the tick of PASS, and so on in looks.
var glyphs = map[rune][5]string{
	'A': {" ### ", "#   #", "#####", "#   #", "#   #"},
	'B': {"#### ", "#   #", "#### ", "#   #", "#### "},
	'C': {" ####", "#    ", "#    ", "#    ", " ####"},
	'D': {"#### ", "#   #", "#   #", "#   #", "#### "},
	'E': {"#####", "#    ", "#### ", "#    ", "#####"},
	'F': {"#####", "#    ", "#### ", "#    ", "#    "},
	'G': {" ####", "#    ", "#  ##", "#   #", " ####"},
	'H': {"#   #", "#   #", "#####", "#   #", "#   #"},
	'I': {"###", " # ", " # ", " # ", "###"},
	'K': {"#  ##", "# #  ", "##   ", "# #  ", "#  ##"},
	'L': {"#    ", "#    ", "#    ", "#    ", "#####"},
	'M': {"#   #", "## ##", "# # #", "#   #", "#   #"},
	'N': {"#   #", "##  #", "# # #", "#  ##", "#   #"},
	'O': {" ### ", "#   #", "#   #", "#   #", " ### "},
	'P': {"#### ", "#   #", "#### ", "#    ", "#    "},
	'Q': {" ### ", "#   #", "# # #", "#  # ", " ## #"},
	'R': {"#### ", "#   #", "#### ", "#  # ", "#   #"},
	'S': {" ####", "#    ", " ### ", "    #", "#### "},
	'T': {"#####", "  #  ", "  #  ", "  #  ", "  #  "},
	'U': {"#   #", "#   #", "#   #", "#   #", " ### "},
	'V': {"#   #", "#   #", "#   #", " # # ", "  #  "},
	'W': {"#   #", "#   #", "# # #", "## ##", "#   #"},
	'X': {"#   #", " # # ", "  #  ", " # # ", "#   #"},
	'Y': {"#   #", " # # ", "  #  ", "  #  ", "  #  "},
	'0': {" ### ", "#  ##", "# # #", "##  #", " ### "},
	'1': {"  #  ", " ##  ", "  #  ", "  #  ", " ### "},
	'J': {"    #", "    #", "    #", "#   #", " ### "},
	'Z': {"#####", "   # ", "  #  ", " #   ", "#####"},
	'-': {"    ", "    ", "####", "    ", "    "},
	'_': {"     ", "     ", "     ", "     ", "#####"},
	'.': {"  ", "  ", "  ", "  ", "##"},
	'/': {"    #", "   # ", "  #  ", " #   ", "#    "},
	'+': {"     ", "  #  ", "#####", "  #  ", "     "},
	':': {"  ", "##", "  ", "##", "  "},
	'=': {"     ", "     ", "     ", "     ", "     "}, // nothing, as wide as a digit
	'2': {"#### ", "    #", " ### ", "#    ", "#####"},
	'3': {"#### ", "    #", " ### ", "    #", "#### "},
	'4': {"#   #", "#   #", "#####", "    #", "    #"},
	'5': {"#####", "#    ", "#### ", "    #", "#### "},
	'6': {" ### ", "#    ", "#### ", "#   #", " ### "},
	'7': {"#####", "    #", "   # ", "  #  ", "  #  "},
	'8': {" ### ", "#   #", " ### ", "#   #", " ### "},
	'9': {" ### ", "#   #", " ####", "    #", " ### "},
	'%': {"##  #", "## # ", "  #  ", " # ##", "#  ##"},
	'!': {"##", "##", "##", "  ", "##"},
	' ': {"  ", "  ", "  ", "  ", "  "},
	'v': {"      #", "     # ", "#   #  ", " # #   ", "  #    "}, // tick
	'r': {"  #    ", " ##### ", "  #   #", "      #", " ##### "}, // arrow back
	'x': {"#   #", " # # ", "  #  ", " # # ", "#   #"},           // cross
	'q': {"   #   ", "  # #  ", " # # # ", "#     #", "#######"}, // warning sign
	's': {"#######", "#     #", "# ### #", "#     #", "#######"}, // a box: the station
}

// pixels are the rows of a text in block letters.
func pixels(text string) [5]string {
	var rows [5]string
	for i, r := range text {
		g := glyphs[r]
		for y := range rows {
			if i > 0 {
				rows[y] += " "
			}
			rows[y] += g[y]
		}
	}
	return rows
}

// drawable reports whether there is a block letter for each character of a name.
func drawable(name string) bool {
	for _, r := range name {
		if _, ok := glyphs[r]; !ok || r >= 'a' && r <= 'z' {
			return false
		}
	}
	return name != ""
}

// scale is the size of block letters: a pixel is x cells wide and y halves of a
// line high. 0 is none.
type scale struct{ x, y int }

// atMost is the scale, no larger than another one.
func (s scale) atMost(o scale) scale { return scale{min(s.x, o.x), min(s.y, o.y)} }

// lines is how high a text is.
func (s scale) lines() int { return (5*s.y + 1) / 2 }

// fitting is the largest scale in which a text fits into w cells and h lines;
// 0 where even the smallest does not. Letters are at most twice as high as wide,
// and only UTF-8 has half lines.
func fitting(text string, w, h int, ascii bool) scale {
	rows := pixels(text)
	if len(rows[0]) == 0 {
		return scale{}
	}
	x := w / len(rows[0])
	y := min(2*h/5, 2*x)
	x = min(x, 2*y)
	if ascii {
		y -= y % 2
	}
	if x < 1 || y < 1 {
		return scale{}
	}
	return scale{x, y}
}

// draw draws a text in block letters of this size.
func (s scale) draw(text string, ascii bool) []string {
	if s.x < 1 || s.y < 1 {
		return nil
	}
	rows := pixels(text)
	lines := make([]string, s.lines())
	for i := range lines {
		upper, lower := rows[2*i/s.y], rows[min((2*i+1)/s.y, 4)]
		if 2*i+1 >= 5*s.y {
			lower = strings.Repeat(" ", len(upper))
		}
		var b strings.Builder
		for x := range len(upper) {
			b.WriteString(strings.Repeat(pixel(upper[x] == '#', lower[x] == '#', ascii), s.x))
		}
		lines[i] = b.String()
	}
	return lines
}

func pixel(upper, lower, ascii bool) string {
	switch {
	case upper && lower && ascii:
		return "#"
	case upper && lower:
		return "█"
	case upper:
		return "▀"
	case lower:
		return "▄"
	}
	return " "
}
