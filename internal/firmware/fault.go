// Package firmware knows what goes into the flash of an ESP32 and where: ESP
// images, partition tables, otadata, the flasher_args.json of an ESP-IDF
// build, and the plan of regions made from them, with what of it is encrypted.
// It touches no device and encrypts nothing. Checks report every fault at
// once, each with the file, the line where there is one, and what to do.
package firmware

import (
	"errors"
	"fmt"

	"station/internal/filefault"
)

// faults collects what is wrong with one file.
type faults struct {
	file string
	list []error
}

func (f *faults) add(format string, args ...any) { f.at(0, format, args...) }

func (f *faults) at(line int, format string, args ...any) {
	f.list = append(f.list, &filefault.Fault{File: f.file, Line: line, Text: fmt.Sprintf(format, args...)})
}

// err joins what was collected; nil where nothing is wrong.
func (f *faults) err() error { return errors.Join(f.list...) }
