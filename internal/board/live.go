package board

import (
	"station/internal/flow"
	"station/internal/record"
)

// Live is a status for readers elsewhere, such as the page of a site: without what only an
// engineer at the bench has to know.
type Live struct {
	Job        string        `json:"job"`
	Revision   string        `json:"revision,omitempty"`
	Batch      string        `json:"batch,omitempty"`
	Operator   string        `json:"operator,omitempty"`
	Simulated  bool          `json:"simulated,omitempty"`
	Undeclared bool          `json:"undeclared,omitempty"`
	Target     int           `json:"target,omitempty"`
	Counts     flow.Counts   `json:"counts"` // since the line began
	Steps      []flow.StepID `json:"steps,omitempty"`
	Halt       *flow.Event   `json:"halt,omitempty"`
	Done       bool          `json:"done,omitempty"`
	Slots      []LiveSlot    `json:"slots"`
}

// LiveSlot is one slot of a Live.
type LiveSlot struct {
	SlotStatus
	Hint   Hint `json:"hint"`
	PutOff bool `json:"owed,omitempty"` // its device was taken out, and has to come back
}

// Live is what the status is now. It shares nothing with the status.
func (s *Status) Live() Live {
	l := Live{Job: s.Job, Revision: s.Revision, Batch: s.Batch, Operator: s.Operator, Simulated: s.Simulated, Undeclared: s.Undeclared,
		Target: s.Target, Counts: s.Counts, Steps: append([]flow.StepID(nil), s.Steps...), Done: s.Done, Slots: []LiveSlot{}}
	if s.Halt != nil {
		l.Halt = &flow.Event{Code: s.Halt.Code, Message: s.Halt.Message, Action: s.Halt.Action}
	}
	for _, slot := range s.Slots {
		one := LiveSlot{SlotStatus: *slot, PutOff: s.Owes(slot.MAC)}
		one.Hint, _ = slot.Hint()
		one.Log, one.Recent, one.Detail, one.Port, one.KeyID = nil, []record.Visit(nil), "", "", ""
		l.Slots = append(l.Slots, one)
	}
	return l
}
