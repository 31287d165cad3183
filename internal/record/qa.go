package record

import (
	"encoding/json"
	"strings"
)

// What happens to devices and keys besides the line's work. All are remarks:
// they change nothing that the ledger knows of a device.
const (
	// LabelPrinted: a label of the device was printed. Decision is "print" or
	// "reprint", Message says in which form and where to.
	LabelPrinted Kind = "label.printed"
	// KeyRecovered: somebody got the device's key again, or images that it
	// encrypts. Decision says which, Message for whom and why. It is on disk
	// before the key leaves the token.
	KeyRecovered Kind = "key.recovered"
	// KeyRemoved: a key that KeyImported told of is no longer in the token.
	KeyRemoved Kind = "key.removed"
)

// Seconded is the About of Released and KeyRecovered where two people did it: the
// first is the Operator.
type Seconded struct {
	Second string `json:"second"`
}

// SecondedBy is the About that names a second person; nil for none.
func SecondedBy(name string) json.RawMessage {
	if name = strings.TrimSpace(name); name == "" {
		return nil
	}
	about, err := json.Marshal(Seconded{name})
	if err != nil {
		return nil // a text always marshals
	}
	return about
}
