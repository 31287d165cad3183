package record

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxBatchName is in bytes: a batch's name goes into the name of a file.
const maxBatchName = 100

// CheckBatch tells what is wrong with the name of a new batch. It becomes a part
// of file names, and is read on screens and pages.
func CheckBatch(name string) error {
	var why string
	switch {
	case Blank(name):
		why = "it is blank"
	case strings.TrimSpace(name) != name:
		why = "it begins or ends with a space"
	case len(name) > maxBatchName:
		why = fmt.Sprintf("it is longer than %d bytes", maxBatchName)
	case !utf8.ValidString(name):
		why = "it is not UTF-8"
	case strings.ContainsAny(name, `/\`) || strings.HasPrefix(name, "."):
		why = "it would be a path: leave out / and \\ and a dot at its begin"
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }):
		why = "it holds characters that cannot be seen"
	default:
		return nil
	}
	return fmt.Errorf("the batch name %q cannot be used: %s", name, why)
}

// persons are the kinds of entries that record what a person did, true for
// those that need a reason as well.
var persons = map[Kind]bool{
	PlanApproved: false,
	BatchOpened:  false,
	BatchAmended: true,
	BatchClosed:  false,
	Released:     true,
	KeyRecovered: true,

	ReleaseMade:      false,
	ReleaseWithdrawn: true,
	RolloutChanged:   false,
}

// CheckPerson tells whether an entry that records a person's act says who did
// it, and why where that matters.
func CheckPerson(e Entry) error {
	why, act := persons[e.Kind]
	if !act {
		return nil
	}
	return errors.Join(CheckOperator(e), checkReason(e, why))
}

// Blank tells whether a name or a reason holds nothing that can be seen: only
// spaces, control characters and marks without a width.
func Blank(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && unicode.IsPrint(r) })
}

// CheckOperator tells whether the entry says who did it.
func CheckOperator(e Entry) error {
	if Blank(e.Operator) {
		return fmt.Errorf("%s: who did it is missing", e.Kind)
	}
	return nil
}

func checkReason(e Entry, wanted bool) error {
	if wanted && Blank(e.Message) {
		return fmt.Errorf("%s: why it was done is missing", e.Kind)
	}
	return nil
}
