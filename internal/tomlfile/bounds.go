package tomlfile

import (
	"bytes"
	"errors"
	"fmt"

	"station/internal/filefault"
)

// What a file may have. The files are written by hand; what goes beyond this
// would take the parser minutes, or fill the screen.
const (
	maxBytes  = 256 << 10
	maxLine   = 4096 // bytes
	maxTables = 1000
	maxFaults = 50 // that are told one by one
	maxText   = 500
)

// absurd notes what no such file has; nothing else is looked at then.
func (f *File) absurd(data []byte) bool {
	if len(data) > maxBytes {
		f.errs = append(f.errs, &filefault.Fault{File: f.Name, Text: fmt.Sprintf("has %d bytes; at most %d are read", len(data), maxBytes)})
		return true
	}
	tables, n := 0, 0
	for line := range bytes.Lines(data) {
		n++
		if bytes.HasPrefix(bytes.TrimLeft(line, " \t"), []byte("[")) {
			tables++
		}
		text := ""
		switch {
		case len(line) > maxLine:
			text = fmt.Sprintf("this line has %d bytes; at most %d are read", len(line), maxLine)
		case tables > maxTables:
			text = fmt.Sprintf("more than %d tables", maxTables)
		default:
			continue
		}
		f.errs = append(f.errs, &filefault.Fault{File: f.Name, Line: n, Text: text})
		return true
	}
	return false
}

// short keeps what is said of one fault readable.
func short(text string) string {
	if len(text) <= maxText {
		return text
	}
	return text[:maxText] + " ..."
}

// few are the first of many faults, and how many more there are.
func few(errs []error) []error {
	if len(errs) <= maxFaults {
		return errs
	}
	rest := fmt.Sprintf("and %d more", len(errs)-maxFaults)
	return append(errs[:maxFaults:maxFaults], errors.New(rest))
}
