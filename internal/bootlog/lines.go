package bootlog

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxLine = 1024 // noise may go on without an end of line
	maxShow = 160
	// MaxMarker is the longest marker, in bytes, that is found wherever it stands:
	// so much of a line that is cut is looked at again with what follows it.
	MaxMarker = 256
)

// liner makes lines of a console, byte by byte: without colours, control
// characters and what is no UTF-8. Empty lines are left out. Whatever the
// pieces in which a console comes, the lines are the same.
type liner struct {
	line    []byte
	carried int // bytes at its beginning that the line before it had too
	escape  int // bytes of an escape sequence seen: 1 is ESC, 2 is ESC and [
	rune    []byte
}

// add takes one byte; take is told each line that it ends.
func (s *liner) add(b byte, take func(line string, carried int)) {
	switch {
	case s.escape == 1 && b == '[':
		s.escape = 2
		return
	case s.escape == 2 && b >= '0' && b <= ';':
		return
	case s.escape == 2 && b >= '@' && b <= '~':
		s.escape = 0
		return
	}
	s.escape = 0
	if len(s.rune) > 0 && b >= utf8.RuneSelf {
		if s.rune = append(s.rune, b); utf8.FullRune(s.rune) {
			s.character(take)
		}
		return
	}
	s.rune = s.rune[:0] // a character that was cut off is none
	switch {
	case b == 0x1b:
		s.escape = 1
	case b == '\n' || b == '\r':
		s.end(take)
	case b >= utf8.RuneSelf:
		if s.rune = append(s.rune, b); utf8.FullRune(s.rune) {
			s.character(take)
		}
	case b >= ' ' && b <= '~':
		s.put(take, b)
	}
}

// character takes a whole rune, or drops the first byte of what is none.
func (s *liner) character(take func(string, int)) {
	for len(s.rune) > 0 && utf8.FullRune(s.rune) {
		r, size := utf8.DecodeRune(s.rune)
		if r != utf8.RuneError && unicode.IsGraphic(r) {
			s.put(take, s.rune[:size]...)
		}
		s.rune = append(s.rune[:0], s.rune[size:]...)
	}
}

func (s *liner) put(take func(string, int), b ...byte) {
	s.line = append(s.line, b...)
	if len(s.line) < maxLine {
		return
	}
	take(string(s.line), s.carried)
	keep := s.line[len(s.line)-MaxMarker:]
	for len(keep) > 0 && !utf8.RuneStart(keep[0]) {
		keep = keep[1:]
	}
	s.line = append(s.line[:0], keep...)
	s.carried = len(s.line)
}

func (s *liner) end(take func(string, int)) {
	if len(s.line) > s.carried {
		take(string(s.line), s.carried)
	}
	s.line, s.carried = s.line[:0], 0
}

func trim(l string) string {
	l = strings.TrimSpace(l)
	return strings.ToValidUTF8(l[:min(len(l), maxShow)], "")
}
