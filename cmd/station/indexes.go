package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/station"
)

// remake makes the indexes of a ledger anew from its log. Nobody else can write
// meanwhile. A ledger that is whole is left alone, and one whose log is not.
func (m *mendFlags) remake(out io.Writer, book *ledger.Ledger, last record.Entry) error {
	faults := foundBy(book, new(ledger.Audit))
	if len(faults) == 0 {
		return fmt.Errorf("ledger recover: %s is whole, and its indexes are what its log says: there is nothing to mend", book.Path())
	}
	if ofLog := foundBy(book, &ledger.Audit{Log: true}); len(ofLog) > 0 {
		return tooMany(out, ofLog)
	}
	kept, err := keepDamaged(book.Path(), time.Now())
	if err != nil {
		return stationFault(err)
	}
	// The entry comes first: whatever happens from here on, it says who began.
	if err := m.note(book, anew(last), kept); err != nil {
		return stationFault(station.LedgerFailure(err))
	}
	if err := errors.Join(book.Rebuild(), book.Close()); err != nil {
		return stationFault(station.LedgerFailure(fmt.Errorf("%w; the file as it was is %s", err, kept)))
	}
	found := fmt.Sprintf("%s of the indexes, none of the log: %s", plain.Count(len(faults), "fault"), faults[0])
	if err := m.mended(out, book.Path(), kept, found, last); err != nil {
		return err
	}
	plain.Fprintf(out, `The log was whole: no entry is lost. What to do next:
  station ledger check CHECKPOINT --ledger FILE   with the newest checkpoint or export that was kept elsewhere
  look for the cause                              this program writes indexes and log together; a disk, or somebody, changed the file
`)
	return nil
}

func anew(last record.Entry) string {
	return fmt.Sprintf("; the indexes are made anew from the log, %s", plain.Count(last.Index+1, "entry"))
}

func foundBy(book *ledger.Ledger, audit *ledger.Audit) (list []ledger.Fault) {
	for f := range watched(audit, book.Check) {
		list = append(list, f)
	}
	return list
}
