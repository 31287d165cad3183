package bootlog

import (
	"iter"
	"strings"
)

const (
	maxLine = 1024 // noise may go on without an end of line
	maxShow = 160
)

// lines yields the log's lines without colours, control bytes and bytes
// outside ASCII. Empty lines are left out.
func lines(log []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		var b strings.Builder
		for i := 0; i <= len(log); i++ {
			if i == len(log) || log[i] == '\n' || log[i] == '\r' || b.Len() >= maxLine {
				if b.Len() > 0 && !yield(b.String()) {
					return
				}
				b.Reset()
			}
			switch {
			case i == len(log):
			case log[i] == 0x1b:
				i += colour(log[i:]) - 1
			case log[i] >= ' ' && log[i] <= '~':
				b.WriteByte(log[i])
			}
		}
	}
}

// colour is the length of the escape sequence at the start of b: ESC, then
// [, parameters and one final letter where it is whole.
func colour(b []byte) int {
	if len(b) < 2 || b[1] != '[' {
		return 1
	}
	for i := 2; i < len(b); i++ {
		if c := b[i]; c < '0' || c > ';' {
			if c >= '@' && c <= '~' {
				return i + 1
			}
			return i
		}
	}
	return len(b)
}

func trim(l string) string {
	l = strings.TrimSpace(l)
	return l[:min(len(l), maxShow)]
}
