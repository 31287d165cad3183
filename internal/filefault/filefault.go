// Package filefault is one thing that is wrong with a file that somebody wrote
// or built: where it stands, what it is and what to do.
package filefault

import (
	"fmt"
	"strings"
)

// Fault is one thing that is wrong with a file. Whoever checks a file finds all
// of them and joins them by errors.Join; All takes them apart again.
type Fault struct {
	File string `json:"file,omitempty"` // as the caller named it; empty where there is none
	Line int    `json:"line,omitempty"` // counted from 1; 0 where the fault has no line
	Key  string `json:"key,omitempty"`  // of a TOML file its dotted path, of a table the column; empty: the whole line or file
	Text string `json:"text"`           // what is wrong; and what to do
}

func (f *Fault) Error() string {
	var where strings.Builder
	if f.File != "" {
		where.WriteString(f.File)
		if f.Line > 0 {
			fmt.Fprintf(&where, ":%d", f.Line)
		}
		where.WriteString(": ")
	}
	if f.Key != "" {
		where.WriteString(f.Key + ": ")
	}
	return where.String() + f.Text
}

// All are the faults in an error that is one or has some joined in it.
func All(err error) []*Fault {
	if f, ok := err.(*Fault); ok {
		return []*Fault{f}
	}
	var list []*Fault
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			list = append(list, All(e)...)
		}
	}
	return list
}
