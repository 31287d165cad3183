package chip

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// SpeedCode is the code of a frequency of the flash in the header of the family's images;
// false where it has none.
func (f *Family) SpeedCode(name string) (byte, bool) {
	for code, names := range f.Speeds {
		if slices.Contains(strings.Split(names, " or "), name) {
			return code, true
		}
	}
	return 0, false
}

// SpeedNames are the frequencies of the flash that an image of one of the families can say,
// fastest first.
func SpeedNames(families ...*Family) []string {
	known := map[string]bool{}
	for _, f := range families {
		for _, names := range f.Speeds {
			for _, name := range strings.Split(names, " or ") {
				known[name] = true
			}
		}
	}
	return slices.SortedFunc(maps.Keys(known), func(a, b string) int { return cmp.Compare(megahertz(b), megahertz(a)) })
}

// megahertz of "40m".
func megahertz(speed string) int {
	n, _ := strconv.Atoi(strings.TrimSuffix(speed, "m")) // the tables hold only such
	return n
}
