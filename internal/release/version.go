package release

import (
	"cmp"
	"strings"
)

// older tells whether version a is older than b. Only versions that begin with a number,
// after a v perhaps, can be compared; else it is false. First the numbers between dots
// count, then the commits that git describe adds (1.2-3-gabc is after 1.2), then a
// pre-release (1.2-rc1 is before 1.2). The component for devices in device/secure_ota
// compares the same way.
func older(a, b string) bool {
	order, clear := compareVersions(a, b)
	return clear && order < 0
}

// compareVersions is the order of two versions; clear is false if they cannot be
// compared.
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

// unmarked is a version without the v or V in front.
func unmarked(version string) string {
	if rest, is := strings.CutPrefix(version, "v"); is {
		return rest
	}
	return strings.TrimPrefix(version, "V")
}

// digit tells whether s begins with a digit.
func digit(s string) bool { return s != "" && s[0] >= '0' && s[0] <= '9' }

// afterDot removes a dot in front, if a digit follows it.
func afterDot(s string) string {
	if s != "" && s[0] == '.' && digit(s[1:]) {
		return s[1:]
	}
	return s
}

// number splits off the digits in front. A larger number than 999,999,999 counts as
// that.
func number(s string) (n int, rest string) {
	for ; digit(s); s = s[1:] {
		if n = 10*n + int(s[0]-'0'); n > 999_999_999 {
			n = 999_999_999
		}
	}
	return n, s
}

// commits reads what follows the numbers of a version that is no pre-release: nothing, a
// build (+…), or what git describe adds, such as -3-gabc or -3-gabc-dirty, of which n is
// 3. For a pre-release it returns false.
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

// comparePre is the order of two pre-releases: digits compare as numbers, all else byte
// by byte.
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
