package flow

import (
	"encoding/json"
	"time"

	"station/internal/chip"
	"station/internal/record"
)

// The events, as they stand in the field "event" of each JSON line.
const (
	LineReady         = "line.ready"
	DeviceSeen        = "device.seen"
	StepStarted       = "step.started"
	StepProgress      = "step.progress"
	StepDone          = "step.done"
	DevicePassed      = "device.passed"
	DeviceFailed      = "device.failed"
	DeviceQuarantined = "device.quarantined"
	DeviceWaits       = "device.waits"     // before its first burn, until others have their verdicts
	DeviceRemoved     = "device.removed"   // the slot is empty again
	DeviceHand        = "device.hand"      // what a person or the fixture has to do now at a slot that cannot reset its device
	LabelFailed       = "label.failed"     // a device passed and has no label
	BatchUndeclared   = "batch.undeclared" // nobody opened the line's batch, and the station allows that
	LineHalted        = "line.halted"      // a fault of the station: no new device is started
	LineResumed       = "line.resumed"     // and it is over
	LineDone          = "line.done"
	ModuleSaid        = "module.said"    // a line that the token's module wrote to standard error
	EventsDropped     = "events.dropped" // nobody read them: so many are missing here
)

// Event is the only way in which anybody learns what the line does: screen,
// JSON lines, logs and tests. It never holds key material.
type Event struct {
	Time    time.Time      `json:"time"`
	Event   string         `json:"event"`
	Slot    string         `json:"slot,omitempty"`
	Port    string         `json:"port,omitempty"`
	MAC     chip.MAC       `json:"mac,omitzero"`
	Step    StepID         `json:"step,omitempty"`
	Percent int            `json:"percent,omitempty"`
	Bytes   int64          `json:"bytes,omitempty"` // done so far in the step
	Total   int64          `json:"total,omitempty"` // bytes the step has to do
	Burning bool           `json:"burning,omitempty"`
	Verdict record.Verdict `json:"verdict,omitempty"`
	Code    Code           `json:"code,omitempty"`
	Message string         `json:"message,omitempty"`
	Action  string         `json:"action,omitempty"`
	Detail  string         `json:"detail,omitempty"`  // the error as an engineer reads it
	Cause   Code           `json:"cause,omitempty"`   // of E-ALIKE: the code that came again and again
	Console string         `json:"console,omitempty"` // of a start: the end of what the device printed
	KeyID   string         `json:"keyId,omitempty"`
	Serial  string         `json:"serial,omitempty"`  // bound to the device by a scan
	Baud    int            `json:"baud,omitempty"`    // of step.done: the rate that the wire runs at from here
	Retries int            `json:"retries,omitempty"` // of step.done: blocks that were sent again
	Already bool           `json:"already,omitempty"` // sealed before; nothing was done
	Hand    Hand           `json:"hand,omitempty"`    // of device.hand
	Until   time.Time      `json:"until,omitzero"`    // of device.hand: the end of the step's patience
	Seconds float64        `json:"seconds,omitempty"`

	Job       string   `json:"job,omitempty"`
	Revision  string   `json:"revision,omitempty"`
	Batch     string   `json:"batch,omitempty"`
	Station   string   `json:"station,omitempty"`
	Operator  string   `json:"operator,omitempty"`
	Simulated bool     `json:"simulated,omitempty"`
	Slots     []string `json:"slots,omitempty"`  // of line.ready, in the order of the fixture
	Steps     []StepID `json:"steps,omitempty"`  // of line.ready: the IDs of the procedure, in order
	Target    int      `json:"target,omitempty"` // of line.ready: devices wanted
	Counts    *Counts  `json:"counts,omitempty"`
	Dropped   int      `json:"dropped,omitempty"` // of events.dropped
}

// Counts are the results of a line.
type Counts struct {
	Passed      int `json:"passed"`  // sealed, now or before
	Already     int `json:"already"` // of those passed: were sealed before, nothing was done
	Retry       int `json:"retry"`
	Scrap       int `json:"scrap"`
	Quarantined int `json:"quarantined"`
	Station     int `json:"station"`
	Missing     int `json:"missing,omitempty"` // were asked for and not begun before the line ended
}

// MarshalJSON tells besides how many of those passed were sealed by this line.
func (c Counts) MarshalJSON() ([]byte, error) {
	type told Counts
	return json.Marshal(struct {
		Sealed int `json:"sealed"`
		told
	}{c.Passed - c.Already, told(c)})
}

// Done is how many devices had a verdict.
func (c Counts) Done() int { return c.Passed + c.Retry + c.Scrap + c.Quarantined + c.Station }

// Failed is how many devices did not pass for a reason of their own.
func (c Counts) Failed() int { return c.Retry + c.Scrap + c.Quarantined }

// Add counts a visit by its verdict; already says that the device was sealed before.
func (c *Counts) Add(v record.Verdict, already bool) {
	switch v {
	case record.Pass:
		c.Passed++
		if already {
			c.Already++
		}
	case record.Retry:
		c.Retry++
	case record.Scrap:
		c.Scrap++
	case record.Quarantine:
		c.Quarantined++
	case record.Station:
		c.Station++
	}
}
