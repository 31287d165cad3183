package release

import (
	"cmp"
	"strings"
)

// older tells whether a version is older than another, where both begin with a number: numbers
// between dots, then what git describe adds (1.2-3-gabc is after 1.2), or a pre-release (1.2-rc1 is
// before 1.2). A device with the component of device/secure_ota decides the same.
func older(a, b string) bool {
	order, clear := compareVersions(a, b)
	return clear && order < 0
}

func compareVersions(a, b string) (order int, clear bool) {
	a, b = unmarked(a), unmarked(b)
	if !digit(a) || !digit(b) {
		return 0, false
	}
	for digit(a) || digit(b) {
		var x, y int
		x, a = number(a)
		y, b = number(b)
		if x != y {
			return cmp.Compare(x, y), true
		}
		a, b = afterDot(a), afterDot(b)
	}
	afterA, isA := commits(a)
	afterB, isB := commits(b)
	switch {
	case isA && isB:
		return cmp.Compare(afterA, afterB), true
	case isA:
		return 1, true
	case isB:
		return -1, true
	}
	return comparePre(a, b), true
}

// unmarked is a version without the v in front.
func unmarked(version string) string {
	if rest, is := strings.CutPrefix(version, "v"); is {
		return rest
	}
	return strings.TrimPrefix(version, "V")
}

func digit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

func afterDot(s string) string {
	if s != "" && s[0] == '.' && digit(s[1:]) {
		return s[1:]
	}
	return s
}

// number takes the digits in front; more than fit are the largest number.
func number(s string) (n int, rest string) {
	for ; digit(s); s = s[1:] {
		if n = 10*n + int(s[0]-'0'); n > 999_999_999 {
			n = 999_999_999
		}
	}
	return n, s
}

// commits tells whether what follows the numbers is that of a release: nothing, a build (+…), or what
// git describe adds, -3-gabc and perhaps -dirty, of which it is the 3.
func commits(rest string) (n int, is bool) {
	if rest == "" || rest[0] == '+' {
		return 0, true
	}
	if rest[0] != '-' || !digit(rest[1:]) {
		return 0, false
	}
	n, rest = number(rest[1:])
	rest, described := strings.CutPrefix(rest, "-g")
	end := strings.TrimLeft(rest, "0123456789abcdef")
	return n, described && end != rest && (end == "" || end[0] == '+' || end[0] == '-')
}

// comparePre compares pre-releases: numbers as numbers, all else as text.
func comparePre(a, b string) int {
	a, _, _ = strings.Cut(a, "+")
	b, _, _ = strings.Cut(b, "+")
	for a != "" && b != "" {
		if digit(a) && digit(b) {
			var x, y int
			x, a = number(a)
			y, b = number(b)
			if x != y {
				return cmp.Compare(x, y)
			}
			continue
		}
		if a[0] != b[0] {
			return cmp.Compare(a[0], b[0])
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}
