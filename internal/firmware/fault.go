// Package firmware knows what goes into the flash of an ESP32 and where: ESP
// images, partition tables, otadata, the flasher_args.json of an ESP-IDF
// build, and the plan of regions made from them, with what of it is encrypted.
// It touches no device and encrypts nothing. Checks report every fault at
// once, each with the file, the line where there is one, and what to do.
package firmware

import (
	"errors"
	"fmt"
)

// Fault is one thing that is wrong with a file.
type Fault struct {
	File string // as the caller named it; empty where there is none
	Line int    // 0 where the file has no lines
	Text string // what is wrong; and what to do
}

func (f *Fault) Error() string {
	switch {
	case f.File == "":
		return f.Text
	case f.Line == 0:
		return f.File + ": " + f.Text
	}
	return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
}

// faults collects what is wrong with one file.
type faults struct {
	file string
	list []error
}

func (f *faults) add(format string, args ...any) { f.at(0, format, args...) }

func (f *faults) at(line int, format string, args ...any) {
	f.list = append(f.list, &Fault{File: f.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// err joins what was collected; nil where nothing is wrong.
func (f *faults) err() error { return errors.Join(f.list...) }

// Faults takes a joined error of this package apart.
func Faults(err error) []*Fault {
	var list []*Fault
	if f, ok := errors.AsType[*Fault](err); ok && error(f) == err {
		return append(list, f)
	}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range joined.Unwrap() {
			list = append(list, Faults(e)...)
		}
	}
	return list
}
