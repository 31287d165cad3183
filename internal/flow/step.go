package flow

import (
	"context"
	"slices"

	"station/internal/efuse"
	"station/internal/job"
)

// StepID is the name of a step in events and entries. It never changes.
type StepID string

// Step is one stage of the procedure: exactly one of Run and Burn. A step is
// irreversible because it has Burn, which changes nothing: it returns the
// fuses wanted as data.
type Step struct {
	ID    StepID
	Title string
	Run   func(ctx context.Context, s *Session) error
	Burn  func(s *Session) (efuse.Plan, error)

	For          func(*job.Job) bool // the jobs that have this step; nil: all
	Scans        bool                // it waits for the serial number of the device
	LastUseOfKey bool                // the device's key is destroyed after it
	AtDoor       bool                // it comes before a device is worked on: one that ends there has cost nothing
}

// Scans tells whether a device waits for its serial number in this step.
func (id StepID) Scans() bool {
	return slices.ContainsFunc(steps, func(s Step) bool { return s.ID == id && s.Scans })
}

// AtDoor tells whether a device is not worked on yet in this step.
func (id StepID) AtDoor() bool {
	return slices.ContainsFunc(steps, func(s Step) bool { return s.ID == id && s.AtDoor })
}
