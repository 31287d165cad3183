package flow

import (
	"errors"
	"fmt"

	"station/internal/record"
)

// ErrNotApproved means that nobody at this station has approved the job's burn plan.
var ErrNotApproved = errors.New("the burn plan is not approved at this station")

// Approve makes sure that a person has approved the job's burn plan at this
// station: before, or now by giving its digest. The approval is an entry of
// the ledger with the operator's ID.
func (r *Runner) Approve(digest string) error {
	want := r.Job.PlanDigest()
	done, err := r.Ledger.Approved(r.Station, want)
	if err != nil {
		return Fail("E-LEDGER", fmt.Errorf("approval: %w", err))
	}
	switch {
	case digest != "" && digest != want:
		return fmt.Errorf("%w: the plan of %s is %s, not %s; read it with \"station job check %s\"", ErrNotApproved, r.Job.Path, want, digest, r.Job.Path)
	case done:
		return nil
	case digest != "" && r.Operator == "":
		return fmt.Errorf("%w: who approves it goes into the ledger; add --operator", ErrNotApproved)
	case digest == "":
		return fmt.Errorf("%w: read it with \"station job check %s\", then run once with --operator NAME --approve %s", ErrNotApproved, r.Job.Path, want)
	}
	_, err = r.Ledger.Append(record.Entry{Kind: record.PlanApproved, Time: r.now(), Station: r.Station, Operator: r.Operator,
		Software: r.Software, Simulated: r.Simulated, Job: r.Job.Name, Revision: r.Job.Revision, JobHash: r.Job.Digest(), Plan: want})
	if err != nil {
		return Fail("E-LEDGER", fmt.Errorf("approval: %w", err))
	}
	return nil
}
