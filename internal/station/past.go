package station

import (
	"slices"

	"station/internal/flow"
	"station/internal/job"
	"station/internal/ledger"
	"station/internal/record"
)

// pastEntries bounds how far back the ledger is read when a line starts.
const pastEntries = 5000

// Past is how the last devices of the job ended at the station, the oldest
// first, since one passed or a person let the line go on: a program that is
// started again must not begin to count anew.
func Past(l *ledger.Ledger, station string, job *job.Job) ([]flow.Outcome, error) {
	size, _, err := l.Head()
	if err != nil {
		return nil, err
	}
	var past []flow.Outcome
	for n := size; n > 0 && size-n < pastEntries; n-- {
		e, err := l.Entry(n - 1)
		if err != nil {
			return nil, err
		}
		if e.Station != station || e.JobHash != job.Digest() {
			continue
		}
		switch {
		case e.Kind == record.Sealed, e.Kind == record.LineResumed && e.Code == flow.CodeAlike:
			slices.Reverse(past)
			return past, nil
		case e.Kind == record.Failed && !flow.StepID(e.Step).AtDoor():
			d, _, err := l.Device(e.MAC)
			if err != nil {
				return nil, err
			}
			past = append(past, flow.Outcome{MAC: e.MAC, Verdict: e.Verdict, Burned: len(d.Intended) > 0,
				Failure: &flow.Failure{Code: e.Code}})
		}
	}
	slices.Reverse(past)
	return past, nil
}
