package firmware

import (
	"strings"
	"unicode/utf8"
)

// What a file of text is that a binary is made of.
const (
	tableText = "the CSV of a partition table"
	nvsText   = "the CSV of an NVS partition"
	notKnown  = "no partition table"
)

// kindOfText names the sources that are mistaken for the binary made of them.
func kindOfText(b []byte) string {
	if len(b) > 64<<10 || !utf8.Valid(b) {
		return notKnown
	}
	for _, line := range csvLines(b) {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		column := strings.Split(strings.ToLower(line), ",")
		for n := range column {
			column[n] = strings.TrimSpace(column[n])
		}
		switch {
		case len(column) == 4 && strings.Join(column, ",") == "key,type,encoding,value":
			return nvsText
		case len(column) >= 4 && isType(column[1]) && (column[3] == "" || isNumber(column[3])):
			return tableText
		}
		return notKnown
	}
	return notKnown
}

func isType(s string) bool { _, known := types[s]; return known || isNumber(s) }

func isNumber(s string) bool { _, ok := number(s); return ok }
