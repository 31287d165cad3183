package report

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"rsc.io/qr"

	"station/internal/chip"
	"station/internal/ledger"
	plaintext "station/internal/plain"
	"station/internal/record"
)

// Why a label is refused.
var (
	ErrNotSealed = errors.New("only sealed devices get a label")
	ErrPrinted   = errors.New("its label was printed before")
)

// Label is what stands on a device's label.
type Label struct {
	MAC       chip.MAC
	Serial    string
	ID        string // that the device is known by; "" for none
	KeyID     string
	Job       string
	Revision  string
	Batch     string
	Simulated bool
	Preview   bool // it is shown, and sticks on nothing
	Layout    Layout

	printed *record.Entry // the print before this one; nil for none
}

// LabelOf is the label of a device. Errors: ErrNotSealed.
func LabelOf(l *ledger.Ledger, mac chip.MAC) (Label, error) {
	d, known, err := l.Device(mac)
	if err != nil {
		return Label{}, fmt.Errorf("label of %s: %w", mac, err)
	}
	verdict, code := d.State()
	switch {
	case !known:
		return Label{}, fmt.Errorf("label of %s: %w; the ledger does not know this device", mac, ErrNotSealed)
	case verdict != record.Pass:
		return Label{}, fmt.Errorf("label of %s: %w; this one is %s", mac, ErrNotSealed, strings.TrimSpace(string(verdict)+" "+string(code)))
	}
	b := Label{MAC: d.MAC, Serial: d.Serial, KeyID: d.FlashKey().ID, Job: d.Job, Revision: d.Revision, Batch: d.Batch, Simulated: d.Simulated || l.Simulated()}
	if d.Identity.Known() {
		b.ID = d.Identity.ID
	}
	plaintext.Value(&b) // what is printed is what is read
	list, err := l.History(mac)
	for _, e := range list {
		if e.Kind == record.LabelPrinted {
			b.printed = &e
		}
	}
	return b, err
}

// Printed tells whether the ledger has a print of the label.
func (b Label) Printed() bool { return b.printed != nil }

// Record puts the print into the ledger, before the label is on paper: there
// may be fewer labels than entries, never more. Error: ErrPrinted where one
// was printed before and again is false.
func (b Label) Record(l *ledger.Ledger, operator, how string, again bool) error {
	e := record.Entry{Kind: record.LabelPrinted, MAC: b.MAC, Operator: operator, Message: how, Decision: "print", Simulated: l.Simulated()}
	if b.printed != nil {
		if !again {
			return fmt.Errorf("label of %s: %w, at %s by %s", b.MAC, ErrPrinted, timeText(b.printed.Time), b.printed.Operator)
		}
		e.Decision = "reprint"
	}
	_, err := l.Append(e)
	return err
}

// LabelFormats are the forms of a label.
var LabelFormats = map[string]func(Label, io.Writer) error{"zpl": Label.ZPL, "png": Label.PNG, "qr": Label.Terminal}

// ZPL writes the label for a Zebra printer. Its measures were chosen at 50 by 25
// mm and 203 dots an inch, and follow the layout's size.
func (b Label) ZPL(w io.Writer) error {
	layout := b.layout()
	width, height := layout.size(layout.Dots)
	dots := func(n int) int { return n * min(width*200, height*400) / (400 * 200) }
	var z strings.Builder
	// ^CI28: texts are UTF-8. ^FH: _XX in a text is a byte.
	fmt.Fprintf(&z, "^XA\n^CI28\n^PW%d\n^LL%d\n^LH0,0\n", width, height)
	left := dots(8)
	if layout.Code != NoCode {
		code, err := qr.Encode(b.code(), qr.M)
		if err != nil {
			return fmt.Errorf("label: %w", err)
		}
		magnify := max(dots(3), 2)
		for magnify > 2 && dots(12)+code.Size*magnify > height {
			magnify--
		}
		fmt.Fprintf(&z, "^FO%d,%d^BQN,2,%d,M^FH^FDMA,%s^FS\n", left, dots(12), magnify, zplText(b.code()))
		left += max(56, code.Size+2) * magnify
	}
	y := dots(14)
	for i, line := range b.lines() {
		tall := dots(20)
		if i == 0 {
			tall = dots(26)
		}
		fmt.Fprintf(&z, "^FO%d,%d^A0N,%d,%d^FB%d,1^FH^FD%s^FS\n", left, y, tall, tall*9/10, max(width-left-dots(4), 1), zplText(line))
		y += tall + dots(8)
	}
	z.WriteString("^XZ\n")
	_, err := io.WriteString(w, z.String())
	return err
}

// zplText escapes what begins a command, and what escapes.
func zplText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; strings.IndexByte("^~_\\", c) >= 0 || c < ' ' || c == 0x7f {
			fmt.Fprintf(&b, "_%02X", c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}
