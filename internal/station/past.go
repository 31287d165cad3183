package station

import (
	"fmt"
	"slices"

	"station/internal/flow"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/record"
)

// Reread holds what the indexes of a ledger say against its log before any device
// is let in by them: a device may have entries that its index does not know. What
// it reads also tells how the last devices of the job ended at the station.
func Reread(l *ledger.Ledger, station string, job *job.Job, progress func(done, total uint64)) ([]flow.Outcome, error) {
	p := losses{station: station, digest: job.Digest(), burns: map[string]uint64{}}
	for fault := range l.Check(&ledger.Audit{Indexes: true, Each: p.add, Progress: progress}) {
		return nil, fmt.Errorf("%w: %w", ledger.ErrCorrupt, fault)
	}
	return p.outcomes(l)
}

// losses are how devices of a job failed at a station since one passed that was burned
// after them, or a person let the line go on: a program that is started again must
// not begin to count anew, whatever the ledger got from others meanwhile. It
// folds the log as the gate of a line folds verdicts.
type losses struct {
	station, digest string
	burns           map[string]uint64 // by visit at work: the entry of its first burn
	failed          []loss
}

// loss is a failure; begun is the entry of the first burn in its visit, 0 for none.
type loss struct {
	flow.Outcome
	begun, index uint64
}

func (p *losses) add(e *record.Entry) {
	if e.Station != p.station || e.JobHash != p.digest {
		return
	}
	begun := p.burns[e.Run]
	switch {
	case e.Kind == record.BurnIntended && begun == 0:
		p.burns[e.Run] = e.Index
	case e.Kind == record.LineResumed && e.Code == flow.CodeAlike:
		p.failed = nil
	case e.Kind == record.Sealed:
		p.failed = slices.DeleteFunc(p.failed, func(f loss) bool { return f.begun < begun })
		delete(p.burns, e.Run)
	case e.Kind == record.Failed && !flow.StepID(e.Step).AtDoor():
		out := flow.Outcome{MAC: e.MAC, Verdict: e.Verdict, Burned: begun > 0, Failure: &flow.Failure{Code: e.Code}}
		p.failed = append(p.failed, loss{out, begun, e.Index})
		delete(p.burns, e.Run)
	}
}

// outcomes are the failures, the oldest first, also those of devices that were
// burned in a visit before.
func (p *losses) outcomes(l *ledger.Ledger) (list []flow.Outcome, err error) {
	for _, f := range p.failed {
		if !f.Burned {
			if f.Burned, err = burnedBefore(l, f); err != nil {
				return nil, err
			}
		}
		list = append(list, f.Outcome)
	}
	return list, nil
}

func burnedBefore(l *ledger.Ledger, f loss) (bool, error) {
	entries, err := l.History(f.MAC)
	return slices.ContainsFunc(entries, func(e record.Entry) bool { return e.Kind == record.BurnIntended && e.Index < f.index }), err
}
