// Package plain stands between text that somebody else wrote and whoever reads
// it: terminals, labels and pages. Names in jobs and ledgers, files to be
// checked, what servers and devices say, and errors that quote them can hold
// what moves the cursor, changes colours, turns the direction of the text or
// cannot be seen. It becomes visible instead, as \u001b or \x9b; everything
// else, 设备就绪 for one, stays as it is.
package plain

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// Nobody reads more than this of one text: the rest is cut.
const (
	maxLine = 1000     // characters
	maxText = 64 << 10 // bytes
)

// Line is a text on one line: line breaks and tabs become spaces.
func Line(s string) string {
	if ok, n := harmless(s, " "); ok && n <= maxLine {
		return s
	}
	s, cut := first(s, maxLine)
	s = strings.NewReplacer("\r\n", " ", "\n", " ", "\t", " ").Replace(s)
	return string(appendPlain(nil, s)) + cut
}

// Text is a text of several lines.
func Text(s string) string {
	if ok, _ := harmless(s, " \n\t"); ok && len(s) <= maxText {
		return s
	}
	cut := ""
	if len(s) > maxText {
		s, cut = s[:maxText], "…"
	}
	return string(appendPlain(nil, s)) + cut
}

// Console is what a device printed, without the colours that it meant well.
func Console(s string) string { return Text(ansi.Strip(strings.ReplaceAll(s, "\r", ""))) }

// first is at most n characters of s, and a sign where that is not all.
func first(s string, n int) (string, string) {
	for i := range s {
		if n == 0 {
			return s[:i], "…"
		}
		n--
	}
	return s, ""
}

// harmless reports whether s is printable ASCII, or one of more, and how long it is.
func harmless[T string | []byte](s T, more string) (bool, int) {
	for i := range len(s) {
		if b := s[i]; (b <= ' ' || b >= 0x7f) && strings.IndexByte(more, b) < 0 {
			return false, 0
		}
	}
	return true, len(s)
}

// appendPlain appends s with everything made visible but line breaks and tabs.
func appendPlain[T string | []byte](dst []byte, s T) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(string(s[:min(len(s), utf8.UTFMax)]))
		switch {
		case r == utf8.RuneError && n <= 1:
			dst = fmt.Appendf(dst, `\x%02x`, s[0])
		case r == '\n' || r == '\t' || !hidden(r):
			dst = append(dst, s[:n]...)
		case r > 0xffff: // as JSON writes it
			r -= 0x10000
			dst = fmt.Appendf(dst, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			dst = fmt.Appendf(dst, `\u%04x`, r)
		}
		s = s[n:]
	}
	return dst
}

// hidden reports whether a character acts on what shows it, or is not seen:
// C0, C1, breaks of lines and paragraphs, marks of direction and what has no width.
func hidden(r rune) bool {
	if r < 0x7f {
		return r < ' '
	}
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
