package tui

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Everything on the screen is measured in cells: a Chinese character takes
// two, an escape sequence none. len() measures neither.

func width(s string) int { return ansi.StringWidth(s) }

// fit cuts s to w cells, or fills it up with spaces.
func fit(s string, w int) string {
	n := width(s)
	if n > w {
		s = ansi.Truncate(s, max(w, 0), "")
		n = width(s) // one less than w where a wide character did not fit
	}
	return s + strings.Repeat(" ", max(w-n, 0))
}

// cut shortens s to w cells and shows that it did.
func cut(s string, w int, ellipsis string) string {
	return ansi.Truncate(s, max(w, 0), ellipsis)
}

// cutLeft shortens s from its beginning to w cells and shows that it did.
func cutLeft(s string, w int, ellipsis string) string {
	if n := width(s); n > w {
		if w < width(ellipsis) {
			return ""
		}
		return ansi.TruncateLeft(s, n-w+width(ellipsis), ellipsis)
	}
	return s
}

// center puts s into the middle of w cells.
func center(s string, w int) string {
	return fit(strings.Repeat(" ", max((w-width(s))/2, 0))+s, w)
}

// sides puts one text to the left edge and one to the right. Where both do not
// fit, the right one goes.
func sides(left, right string, w int) string {
	if n := width(left) + width(right); right != "" && n < w {
		return left + strings.Repeat(" ", w-n) + right
	}
	return fit(left, w)
}

// unbroken is a hyphen that no line ends with: codes, names and paths stay whole.
const unbroken = "\u2011"

// wrap breaks s at its spaces into at most n lines of w cells; what does not fit is
// cut.
func wrap(s string, w, n int, ellipsis string) []string {
	if w <= 0 || n <= 0 || s == "" {
		return nil
	}
	text := ansi.Wrap(strings.ReplaceAll(s, "-", unbroken), w, "")
	lines := strings.Split(strings.ReplaceAll(text, unbroken, "-"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	if len(lines) > n {
		rest := strings.Join(lines[n-1:], " ")
		lines = append(lines[:n-1], cut(rest, w, ellipsis))
		if width(rest) <= w {
			lines[n-1] = rest
		}
	}
	return lines
}

// some is as many of the parts as fit into w cells, with a mark where some are
// left out.
func some(parts []string, between, ellipsis string, w int) string {
	all := slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == "" })
	line := strings.Join(all, between)
	for n := len(all) - 1; n > 0 && width(line) > w; n-- {
		line = strings.Join(all[:n], between) + " " + ellipsis
	}
	return line
}

// joined puts as many of the parts side by side as fit; the first ones matter most.
func joined(parts []string, between string, w int) string {
	var line string
	for _, p := range parts {
		switch next := line + between + p; {
		case p == "":
		case line == "":
			line = p
		case width(next) > w:
			return line
		default:
			line = next
		}
	}
	return line
}
