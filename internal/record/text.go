package record

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is in bytes: such a name goes into the name of a file.
const maxName = 100

// drawn tells whether a character leaves something to be seen. Fillers and the
// empty braille pattern count as letters and symbols, and leave nothing.
func drawn(r rune) bool {
	return r != ' ' && r != '\u2800' && unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Blank tells whether a text holds nothing that can be seen: only spaces,
// control characters, fillers and marks without a width.
func Blank(s string) bool { return !strings.ContainsFunc(s, drawn) }

// CheckName tells what is wrong with the name of a batch, or with a job's name
// or revision. It becomes a part of file names, and is read on screens and pages.
func CheckName(name string) error {
	switch {
	case Blank(name):
		return errors.New("it is blank")
	case strings.TrimSpace(name) != name:
		return errors.New("it begins or ends with a space")
	case len(name) > maxName:
		return fmt.Errorf("it is longer than %d bytes", maxName)
	case !utf8.ValidString(name):
		return errors.New("it is not UTF-8")
	case strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, "."):
		return errors.New("it would be a path: leave out / and \\ and a dot at its begin")
	case strings.ContainsFunc(name, func(r rune) bool { return r != ' ' && !drawn(r) }):
		return errors.New("it holds characters that cannot be seen")
	}
	return nil
}

// CheckText tells what is wrong with what a person typed about himself or as his
// reason. It is one line, of any script; two names that look alike are the same.
func CheckText(s string) error {
	if Blank(s) {
		return errors.New("is blank; write who it is, or why")
	}
	if !utf8.ValidString(s) {
		return errors.New("is not UTF-8; type it again")
	}
	for _, r := range s {
		if !drawn(r) && !unicode.Is(unicode.Zs, r) {
			return fmt.Errorf("holds %U, which cannot be seen; write one line without it", r)
		}
	}
	return nil
}
