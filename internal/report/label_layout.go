package report

import (
	"cmp"
	"math"
	"regexp"
	"strings"
)

// Layout is the form of a label: its size, and what stands on it. Code and
// lines hold placeholders, {mac} and the like.
type Layout struct {
	Width, Height float64  // mm
	Dots          int      // an inch, of the printer that takes ZPL
	Code          string   // of the QR code, parts with semicolons between; NoCode: none
	Lines         []string // beside the code, the first one large
}

// NoCode is the code of a label that has none.
const NoCode = "-"

// UsualLayout is the layout of a station whose file has none.
var UsualLayout = Layout{Width: 50, Height: 25, Dots: 203, Code: "MAC={MAC};SN={serial};ID={id};KEY={key}",
	Lines: []string{"{mac}", "SN {serial}", "ID {id}", "{job}", "{policy}", "{check}"}}

// Or is the layout with the usual where it says nothing.
func (l Layout) Or(usual Layout) Layout {
	if l.Width == 0 {
		l.Width, l.Height = usual.Width, usual.Height
	}
	l.Dots, l.Code = cmp.Or(l.Dots, usual.Dots), cmp.Or(l.Code, usual.Code)
	if len(l.Lines) == 0 {
		l.Lines = usual.Lines
	}
	return l
}

// size is the label in dots.
func (l Layout) size(dots int) (width, height int) {
	of := func(mm float64) int { return int(math.Round(mm * float64(dots) / 25.4)) }
	return of(l.Width), of(l.Height)
}

// labelFields are the placeholders.
var labelFields = map[string]func(Label) string{
	"mac":      func(b Label) string { return strings.ToUpper(b.MAC.String()) },
	"MAC":      func(b Label) string { return strings.ToUpper(strings.ReplaceAll(b.MAC.String(), ":", "")) },
	"serial":   func(b Label) string { return b.Serial },
	"id":       func(b Label) string { return b.ID },
	"key":      func(b Label) string { return b.KeyID },
	"job":      func(b Label) string { return b.Job },
	"revision": func(b Label) string { return b.Revision },
	"batch":    func(b Label) string { return b.Batch },
	"policy":   func(b Label) string { policy, _ := b.key(); return policy },
	"check":    func(b Label) string { _, check := b.key(); return check },
}

// key is the key ID without its check value, and that.
func (b Label) key() (policy, check string) {
	i := strings.LastIndexByte(b.KeyID, ':')
	if i < 0 {
		return b.KeyID, ""
	}
	return b.KeyID[:i], b.KeyID[i+1:]
}

var placeholder = regexp.MustCompile(`\{(\w+)\}`)

// filled are the templates filled in, without those that speak of something
// that the device has not got.
func (b Label) filled(templates []string) (list []string) {
	for _, t := range templates {
		whole := true
		text := placeholder.ReplaceAllStringFunc(t, func(name string) string {
			value := ""
			if field := labelFields[name[1:len(name)-1]]; field != nil {
				value = field(b)
			}
			whole = whole && value != ""
			return value
		})
		if whole {
			list = append(list, text)
		}
	}
	return list
}

// mark is what a label says that is none of a device.
func (b Label) mark() string {
	switch {
	case b.Preview:
		return "PREVIEW"
	case b.Simulated:
		return simulation
	}
	return ""
}

// code is what the QR code holds: fields that a scanner's program can split.
func (b Label) code() string {
	parts := b.filled(strings.Split(b.layout().Code, ";"))
	if mark := b.mark(); mark != "" {
		parts = append([]string{mark}, parts...)
	}
	return strings.Join(parts, ";")
}

// lines are the texts beside the code, the first one large.
func (b Label) lines() []string {
	lines := b.filled(b.layout().Lines)
	if mark := b.mark(); mark != "" {
		lines = append(lines, mark)
	}
	return lines
}

func (b Label) layout() Layout { return b.Layout.Or(UsualLayout) }
