package station

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"station/internal/job"
	"station/internal/tomlfile"
)

// LabelFile is where a label of each sealed device goes by itself, and what it
// looks like.
type LabelFile struct {
	Printer string      `toml:"printer"` // a device, a file or a folder, relative to the station file; empty is none
	Format  LabelFormat `toml:"format"`
	Size    LabelSize   `toml:"size"`
	Dots    int         `toml:"dots"` // an inch, of a printer that takes ZPL
	Code    string      `toml:"code"` // what the QR code holds; "-" is none
	Lines   []string    `toml:"lines"`
}

// LabelFormat is a form of a label: zpl (default) or png.
type LabelFormat string

// UnmarshalText reads a label's format.
func (l *LabelFormat) UnmarshalText(b []byte) error {
	w, err := job.Word(b, "zpl", "png")
	*l = LabelFormat(w)
	return err
}

// LabelSize is width and height of a label in mm, as "50x25".
type LabelSize struct{ Width, Height float64 }

// UnmarshalText reads a size.
func (s *LabelSize) UnmarshalText(b []byte) error {
	n, err := fmt.Sscanf(string(b)+"\n", "%fx%f\n", &s.Width, &s.Height)
	if n != 2 || err != nil || s.Width < 10 || s.Width > 300 || s.Height < 5 || s.Height > 300 {
		return fmt.Errorf("%q is no size of a label; write width and height in mm, as \"50x25\"", b)
	}
	return nil
}

// LabelFields are what the code and the lines of a label may hold, in braces.
var LabelFields = []string{"mac", "MAC", "serial", "id", "key", "job", "revision", "batch", "policy", "check"}

var inBraces = regexp.MustCompile(`\{([^{}]*)\}`)

func (l *LabelFile) check(f *tomlfile.File) {
	if f.Has("label") && l.Printer == "" && l.Size == (LabelSize{}) && l.Dots == 0 && l.Code == "" && len(l.Lines) == 0 {
		f.Fault("label.printer", `is missing; write printer = "/dev/usb/lp0", a file or a folder, or leave [label] out`)
	}
	if l.Dots != 0 && (l.Dots < 100 || l.Dots > 1200) {
		f.Fault("label.dots", "%d dots an inch are out of range; label printers have 203, 300 or 600", l.Dots)
	}
	for key, texts := range map[string][]string{"label.code": {l.Code}, "label.lines": l.Lines} {
		for _, text := range texts {
			for _, field := range inBraces.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(LabelFields, field[1]) {
					f.Fault(key, "{%s} is not known; write {%s}", field[1], strings.Join(LabelFields, "}, {"))
				}
			}
		}
	}
}
