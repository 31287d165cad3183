package flow

import (
	"context"

	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/job"
	"station/internal/record"
)

// Report is what can be told of a device without changing it.
type Report struct {
	ID       chip.Identity
	Fuses    efuse.Image
	State    efuse.State
	Known    bool // the ledger has it
	Device   record.Device
	Decision string   // what a run of the job would decide; empty without a job
	Why      string   // in words
	Failure  *Failure // where the run would refuse it
	Plan     []string // the fuses that a run would burn, in words
}

// Probe identifies the device behind l and tells what a run would do. It
// writes neither fuses nor flash nor ledger. Job and Ledger may be nil.
func (r *Runner) Probe(ctx context.Context, l Loader) (Report, error) {
	s := Session{Job: r.Job, Chip: onlyChip{l}}
	s.survey = surveyor(&s, l)
	if s.Job == nil {
		s.Job = &job.Job{}
	}
	s.rate = newVisitRate(s.Job, nil)
	if err := connectAndRead(ctx, &s); err != nil {
		return Report{ID: s.ID}, FailureFrom(err)
	}
	if r.Ledger != nil {
		var err error
		if s.Device, s.Known, err = r.Ledger.Device(s.ID.MAC); err != nil {
			return Report{ID: s.ID}, Fail("E-LEDGER", err)
		}
	}
	report := Report{ID: s.ID, Fuses: s.Fuses, State: efuse.Classify(s.Fuses, nil), Known: s.Known, Device: s.Device}
	if r.Job == nil {
		return report, nil
	}
	err := s.honest()
	if err == nil {
		err = fits(s.Job, s.ID, s.Fuses)
	}
	if err == nil {
		report.Decision, report.Why, err = s.decide(ctx)
	}
	if err != nil {
		report.Failure = FailureFrom(err)
		report.Decision, report.Why = DecisionQuarantine, report.Failure.Error()
		return report, nil
	}
	if left, err := s.planFor().Diff(s.Fuses); err == nil {
		report.Plan = left.Lines(s.Fuses)
	}
	return report, nil
}
