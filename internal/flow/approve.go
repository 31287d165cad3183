package flow

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"station/internal/job"
	"station/internal/record"
)

// ErrNotApproved means that nobody at this station has approved the job's burn plan.
var ErrNotApproved = errors.New("the burn plan is not approved at this station")

// Approve makes sure that a person has approved the job at this station, as it
// is now: before, or now by giving its digest. The approval is an entry of the
// ledger with the ID of whoever gives it and with all that is approved. A
// revision means one thing for ever: another job under its name is refused.
func (r *Runner) Approve(digest string) error {
	done, err := r.approved()
	switch want := r.Job.PlanDigest(); {
	case err != nil:
		return err
	case digest != "" && digest != want:
		return fmt.Errorf("%w: the plan of %s is %s, not %s; read it with \"station job check %s\"%s", ErrNotApproved, r.Job.Path, want, digest, r.Job.Path, r.plain())
	case done != nil && (digest == "" || r.apart(done.Operator) == nil):
		return r.apart(done.Operator)
	case digest == "":
		return fmt.Errorf("%w: read it with \"station job check %s\", then run once with --operator NAME --approve %s%s", ErrNotApproved, r.Job.Path, want, r.plain())
	}
	return r.approve()
}

// CheckApproval tells whether somebody has approved the job as it is now, and
// refuses one whose revision means something else already.
func (r *Runner) CheckApproval() (approved bool, err error) {
	done, err := r.approved()
	return done != nil && r.apart(done.Operator) == nil, err
}

// approved finds the approval of the job as it is now; nil for none.
func (r *Runner) approved() (*record.Entry, error) {
	e, found, err := r.Ledger.Approval(r.Station, r.Job.PlanDigest())
	if err == nil && found {
		return &e, nil
	}
	if err == nil {
		e, found, err = r.Ledger.ApprovalOf(r.Station, r.Job.Name, r.Job.Revision)
	}
	if err != nil {
		return nil, Fail("E-LEDGER", fmt.Errorf("approval: %w", err))
	}
	// Entries of version 1 approved only fuses, and do not tell what else there was.
	if found && len(e.Described) > 0 {
		return nil, r.another(e)
	}
	return nil, nil
}

// another says what differs from the job that was approved under this name and
// revision.
func (r *Runner) another(e record.Entry) error {
	return fmt.Errorf("%w: revision %s of %s was approved by %s on %s as %s, and %s is another:\n  %s\nbring that back, or count the revision up and have the new one approved", ErrNotApproved,
		r.Job.Revision, r.Job.Name, e.Operator, e.Time.UTC().Format(time.DateOnly), e.Plan, r.Job.Path, strings.Join(r.Job.Differences(e.Described), "\n  "))
}

// plain is what the job does, for whoever is to approve it.
func (r *Runner) plain() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n  mode %s, %s %s", r.Job.Security.Mode, r.Job.Name, r.Job.Revision)
	for _, image := range r.Job.ImageLines() {
		b.WriteString("\n  " + image)
	}
	return b.String()
}

// apart refuses an approval by whoever works with it, where the station wants
// two people.
func (r *Runner) apart(approver string) error {
	who, operator := strings.TrimSpace(approver), strings.TrimSpace(r.Operator)
	switch {
	case !r.TwoPeople:
		return nil
	case record.Blank(operator):
		return fmt.Errorf("%w: this station wants two people, one who approves and one who works; say who works with --operator", ErrNotApproved)
	case strings.EqualFold(who, operator):
		return fmt.Errorf("%w: this station wants two people, and %s would approve and work; have somebody else approve it (--approver NAME --approve %s)", ErrNotApproved, operator, r.Job.PlanDigest())
	}
	return nil
}

// approve writes the approval.
func (r *Runner) approve() error {
	who := strings.TrimSpace(cmp.Or(r.Approver, r.Operator))
	if record.Blank(who) {
		return fmt.Errorf("%w: who approves it goes into the ledger; add --operator", ErrNotApproved)
	}
	if r.MayApprove != nil {
		if err := r.MayApprove(who); err != nil {
			return fmt.Errorf("%w: %w; have one of them approve it (--approver NAME --approve %s)", ErrNotApproved, err, r.Job.PlanDigest())
		}
	}
	if err := r.apart(who); err != nil {
		return err
	}
	_, err := r.Ledger.Append(record.Entry{Kind: record.PlanApproved, Operator: who, LineOperator: r.Operator,
		Simulated: r.Simulated, Job: r.Job.Name, Revision: r.Job.Revision, JobHash: r.Job.Digest(), Plan: r.Job.PlanDigest(),
		Described: job.DescriptionLines(r.Job.Description())})
	if err != nil {
		return Fail("E-LEDGER", fmt.Errorf("approval: %w", err))
	}
	return nil
}
