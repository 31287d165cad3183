package plain

import (
	"fmt"
	"strings"
)

// Count is a number of things in words, "1 fault" or "3 entries". The noun is one that takes s.
func Count[N ~int | ~int64 | ~uint64](n N, noun string) string {
	stem, y := strings.CutSuffix(noun, "y")
	switch {
	case n == 1:
		return "1 " + noun
	case y && !strings.ContainsAny(stem[len(stem)-1:], "aeiou"):
		noun = stem + "ie"
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
