package station

import (
	"errors"
	"fmt"
	"time"

	"station/internal/job"
	"station/internal/ledger"
	"station/internal/record"
)

// ErrOtherJob: the batch was opened for another job, or for other files of it.
var ErrOtherJob = errors.New("the batch is of another job")

// CheckBatch refuses a batch that does not take the job, before a PIN is asked
// for. A ledger that cannot be read is left to whoever opens it. Errors:
// record.ErrBatch, ErrOtherJob.
func (o Setup) CheckBatch() error {
	if o.Batch == "" {
		return nil
	}
	if err := record.CheckBatch(o.Batch); err != nil {
		return err
	}
	l, err := ledger.Open(o.File.Ledger, ledger.Options{ReadOnly: true})
	if err != nil {
		return nil
	}
	defer l.Close()
	_, err = o.batchIn(l)
	return err
}

// batchIn asks the ledger whether the batch takes the job; undeclared is one
// that nobody opened, where the station allows that.
func (o Setup) batchIn(l *ledger.Ledger) (undeclared bool, err error) {
	if o.Batch == "" {
		return false, nil
	}
	undeclared, err = BatchTakes(l, o.Batch, o.Job)
	switch {
	case errors.Is(err, ErrOtherJob), errors.Is(err, record.ErrBatch):
		return false, err
	case err != nil:
		return false, LedgerFailure(err)
	case undeclared && !o.File.Batch.Undeclared:
		return false, fmt.Errorf("%w: nobody opened %s; is it mistyped? Open it with \"station batch open %s --devices N --operator NAME\", or write undeclared = true under [batch] into %s",
			record.ErrBatch, o.Batch, o.Batch, o.File.Path)
	case undeclared:
		o.Tell(fmt.Sprintf("warning: nobody opened the batch %s: it has no quota and takes devices of every job", o.Batch))
	}
	return undeclared, nil
}

// BatchTakes reports whether the batch takes devices of the job: it is open, and
// was opened for this one or for none. undeclared is one that nobody opened.
// Errors: record.ErrBatch, ErrOtherJob, and those of the ledger.
func BatchTakes(l *ledger.Ledger, batch string, job *job.Job) (undeclared bool, err error) {
	lot, _, err := l.Lot(record.BatchLot(batch, l.Simulated()))
	switch {
	case err != nil:
		return false, err
	case lot.Opened.IsZero():
		return true, nil
	case !lot.Closed.IsZero():
		return false, fmt.Errorf("%w: %s was closed on %s; open another one with \"station batch open\"", record.ErrBatch, batch, lot.Closed.UTC().Format(time.DateOnly))
	case lot.JobHash == "" || lot.JobHash == job.Digest():
		return false, nil
	}
	return false, otherJob(l, batch, job)
}

func otherJob(l *ledger.Ledger, batch string, job *job.Job) error {
	opened, err := openingOf(l, batch)
	if err != nil {
		return err
	}
	hint := "name that job file, or open a batch for this one with \"station batch open\""
	if opened.Job == job.Name && opened.Revision == job.Revision {
		hint = "the job file or an image has changed since: bring those back, or open a batch for the new ones with \"station batch open\""
	}
	return fmt.Errorf("%w: %s was opened for job %s revision %s (%s), and %s is job %s revision %s (%s); %s", ErrOtherJob,
		batch, opened.Job, opened.Revision, opened.JobHash, job.Path, job.Name, job.Revision, job.Digest(), hint)
}

// openingOf finds the entry that opened a batch. Only it has the revision.
func openingOf(l *ledger.Ledger, batch string) (record.Entry, error) {
	for e, err := range l.Entries(0) {
		if err != nil || e.Kind == record.BatchOpened && e.Batch == batch {
			return e, err
		}
	}
	return record.Entry{}, fmt.Errorf("batch %s: no entry opens it: run station ledger verify", batch)
}
