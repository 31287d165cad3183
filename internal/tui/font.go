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
	'_': {"     ", "     ", "     ", "     ", "     "}, // as wide as a digit
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
	return true
}

// big draws a text in block letters as large as w cells and h lines allow, or
// nothing where even the smallest does not fit. A pixel is sx cells wide and
// sy halves of a line high; letters are at most twice as high as wide, and
// only UTF-8 has half lines.
func big(text string, w, h int, ascii bool) []string {
	rows := pixels(text)
	if len(rows[0]) == 0 {
		return nil
	}
	sx := w / len(rows[0])
	sy := min(2*h/5, 2*sx)
	sx = min(sx, 2*sy)
	if ascii {
		sy -= sy % 2
	}
	if sx < 1 || sy < 1 {
		return nil
	}
	lines := make([]string, (5*sy+1)/2)
	for i := range lines {
		upper, lower := rows[2*i/sy], rows[min((2*i+1)/sy, 4)]
		if 2*i+1 >= 5*sy {
			lower = strings.Repeat(" ", len(upper))
		}
		var b strings.Builder
		for x := range len(upper) {
			b.WriteString(strings.Repeat(pixel(upper[x] == '#', lower[x] == '#', ascii), sx))
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
