package report

import (
	"errors"
	"fmt"
	"io"
	"strings"

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
	Simulated bool

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
	b := Label{MAC: d.MAC, Serial: d.Serial, KeyID: d.FlashKey().ID, Job: d.Job, Simulated: d.Simulated || l.Simulated()}
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

// code is what the QR code holds: fields that a scanner's program can split.
func (b Label) code() string {
	fields := []string{"MAC=" + strings.ToUpper(strings.ReplaceAll(b.MAC.String(), ":", ""))}
	if b.Serial != "" {
		fields = append(fields, "SN="+b.Serial)
	}
	if b.ID != "" {
		fields = append(fields, "ID="+b.ID)
	}
	fields = append(fields, "KEY="+b.KeyID)
	if b.Simulated {
		fields = append([]string{simulation}, fields...)
	}
	return strings.Join(fields, ";")
}

// lines are the texts beside the code, the first one large.
func (b Label) lines() []string {
	lines := []string{strings.ToUpper(b.MAC.String())}
	if b.Serial != "" {
		lines = append(lines, "SN "+b.Serial)
	}
	if b.ID != "" {
		lines = append(lines, "ID "+b.ID)
	}
	policy, check := b.KeyID, ""
	if i := strings.LastIndexByte(b.KeyID, ':'); i >= 0 {
		policy, check = b.KeyID[:i], b.KeyID[i+1:]
	}
	lines = append(lines, b.Job, policy, check)
	if b.Simulated {
		lines = append(lines, simulation)
	}
	return lines
}

// LabelFormats are the forms of a label.
var LabelFormats = map[string]func(Label, io.Writer) error{"zpl": Label.ZPL, "png": Label.PNG, "qr": Label.Terminal}

// ZPL writes the label for a Zebra printer: 50 by 25 mm at 203 dots an inch.
func (b Label) ZPL(w io.Writer) error {
	var z strings.Builder
	// ^CI28: texts are UTF-8. ^FH: _XX in a text is a byte.
	z.WriteString("^XA\n^CI28\n^PW400\n^LL200\n^LH0,0\n")
	fmt.Fprintf(&z, "^FO8,12^BQN,2,3,M^FH^FDMA,%s^FS\n", zplText(b.code()))
	y := 14
	for i, line := range b.lines() {
		height := 20
		if i == 0 {
			height = 26
		}
		fmt.Fprintf(&z, "^FO176,%d^A0N,%d,%d^FB220,1^FH^FD%s^FS\n", y, height, height*9/10, zplText(line))
		y += height + 8
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
