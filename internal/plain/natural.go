package plain

import (
	"cmp"
	"strings"
)

// Natural compares names by their numbers: slot 9 before slot 10, ttyUSB9 before
// ttyUSB10.
func Natural(a, b string) int {
	return cmp.Or(cmp.Compare(digits(a), digits(b)), cmp.Compare(a, b))
}

// digits pads each run of digits to one width.
func digits(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); {
		j := i
		for j < len(s) && s[j] >= '0' && s[j] <= '9' {
			j++
		}
		if j == i {
			out.WriteByte(s[i])
			i++
			continue
		}
		out.WriteString(strings.Repeat("0", max(0, 8-(j-i))) + s[i:j])
		i = j
	}
	return out.String()
}
