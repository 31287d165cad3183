package record

import "encoding/json"

// Elsewhere is how a bench knows a device that it did not make: the About of Admitted then.
type Elsewhere struct {
	Bench string `json:"bench"` // that made it; "": the site could not be asked whose it is
	// Checkpoint is the site's, under which it has proved that bench's entries of the device.
	Checkpoint string `json:"checkpoint"`
	// Proof is what Move takes, where the device may come to this bench; Own is what this
	// ledger has of it until then.
	Proof json.RawMessage `json:"-"`
	Own   *Device         `json:"-"`
	// Halted is why it may not, whatever Bench does: the site refuses that bench's ledger.
	Halted string `json:"-"`
}

// ElsewhereCode is the code of a device that only another bench may go on with.
const ElsewhereCode Code = "E-ELSEWHERE"
