package station

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// madeUp is the n-th serial number that matches a pattern: it counts in the
// places that the pattern leaves open. An error where the pattern has too few.
func madeUp(pattern *regexp.Regexp, n int) (string, error) {
	tree, err := syntax.Parse(pattern.String(), syntax.Perl)
	if err != nil {
		return "", err
	}
	c := &counter{left: n}
	text := c.text(tree)
	if c.left > 0 || !pattern.MatchString(text) {
		return "", fmt.Errorf("no %d serial numbers could be made up for %s", n+1, pattern)
	}
	return text, nil
}

// counter writes a number into open places, the last one first.
type counter struct{ left int }

func (c *counter) digit(choices int) int {
	d := c.left % choices
	c.left /= choices
	return d
}

// text is built from its end, so that what counts fastest stands last.
func (c *counter) text(re *syntax.Regexp) string {
	switch re.Op {
	case syntax.OpLiteral:
		return string(re.Rune)
	case syntax.OpCharClass:
		return string(c.char(re.Rune))
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return string(c.char([]rune{'0', '9', 'A', 'Z'}))
	case syntax.OpConcat:
		var parts string
		for i := len(re.Sub) - 1; i >= 0; i-- {
			parts = c.text(re.Sub[i]) + parts
		}
		return parts
	case syntax.OpCapture:
		return c.text(re.Sub[0])
	case syntax.OpAlternate:
		return c.text(re.Sub[c.digit(len(re.Sub))])
	case syntax.OpPlus, syntax.OpRepeat, syntax.OpStar, syntax.OpQuest:
		return c.repeat(re)
	}
	return "" // anchors, empty matches
}

// repeat uses a few places of a stretch without a bound, and the fewest of a
// bounded one.
func (c *counter) repeat(re *syntax.Regexp) string {
	const enough = 6
	times := 0
	switch re.Op {
	case syntax.OpPlus, syntax.OpStar:
		times = enough
	case syntax.OpRepeat:
		times = re.Min
		if re.Max < 0 || re.Max > re.Min {
			times = max(re.Min, min(enough, max(re.Max, 0)))
		}
	}
	var b []string
	for range times {
		b = append([]string{c.text(re.Sub[0])}, b...)
	}
	return strings.Join(b, "")
}

// char is one character of a class, given as pairs of bounds; those that can be
// printed where there are any.
func (c *counter) char(class []rune) rune {
	const first, last = '!', '~'
	total := 0
	for i := 0; i < len(class); i += 2 {
		if lo, hi := max(class[i], first), min(class[i+1], last); lo <= hi {
			total += int(hi-lo) + 1
		}
	}
	if total == 0 {
		return class[0]
	}
	d := c.digit(total)
	for i := 0; i < len(class); i += 2 {
		lo, hi := max(class[i], first), min(class[i+1], last)
		if n := int(hi-lo) + 1; n > 0 {
			if d < n {
				return lo + rune(d)
			}
			d -= n
		}
	}
	return class[0]
}
