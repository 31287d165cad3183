package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"station/internal/flow"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/station"
)

// mendFlags are those of ledger recover.
type mendFlags struct {
	*ledgerFlags
	operator, reason string
}

func ledgerRecoverCommand(l *ledgerFlags) *cobra.Command {
	m := &mendFlags{ledgerFlags: l}
	cmd := &cobra.Command{
		Use:   "recover",
		Short: "Mend a damaged header of a ledger, or make its indexes anew from its log",
		Long: `Mend a ledger of whose two header pages one is damaged, as a power cut or a bad
disk may leave it; or make its indexes anew, where they are not what its log
says; or both. The log is the truth: only a log that is whole, every entry, every hash and
every signed checkpoint, has its indexes made from it. With a damaged header what
was written last may be missing, which nothing in the file can tell; so a person
decides, and who did and why becomes an entry. The file as it is is first copied
to FILE.damaged-TIME. A ledger that is damaged in any other way is left alone:
restore a backup (docs/recovery.md).`,
		Example: `  station ledger recover --operator anna --reason "power cut on Friday"`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return m.run(cmd.OutOrStdout()) },
	}
	demandReason(cmd, &m.operator, &m.reason, "who decides")
	return cmd
}

func (m *mendFlags) run(out io.Writer) error {
	path, id, err := m.file()
	if err != nil {
		return err
	}
	last, err := lastEntry(path)
	switch {
	case errors.Is(err, keyfile.ErrKind):
		return stationFault(fmt.Errorf("ledger recover: %w", err))
	case errors.Is(err, ledger.ErrCorrupt), errors.Is(err, ledger.ErrForeign):
		return beyondMending(err)
	case err != nil:
		return stationFault(err)
	}
	book, err := ledger.Open(path, ledger.Options{Simulated: last.Simulated, Station: id, Software: version()})
	switch {
	case err == nil:
		defer book.Close()
		return m.remake(out, book, last)
	case !errors.Is(err, ledger.ErrCorrupt):
		return stationFault(station.LedgerFailure(err))
	}
	return m.header(out, path, id, last)
}

// header goes on from the header that is whole.
func (m *mendFlags) header(out io.Writer, path, id string, last record.Entry) error {
	found, remake, err := mendable(out, path)
	if err != nil {
		return err
	}
	kept, err := keepDamaged(path, time.Now())
	if err != nil {
		return stationFault(err)
	}
	if err := m.mend(path, id, kept, last, remake); err != nil {
		return err
	}
	if err := m.mended(out, path, kept, found, last); err != nil {
		return err
	}
	plain.Fprintf(out, `What was committed after that may be lost. What to do next:
  station ledger verify                           rereads everything
  station ledger check CHECKPOINT --ledger FILE   with the newest checkpoint or export that was kept elsewhere
  put the last devices back                       chip and ledger are compared again
`)
	return nil
}

// mended makes sure that the ledger is whole now, and tells what was done.
func (m *mendFlags) mended(out io.Writer, path, kept, found string, last record.Entry) error {
	for _, f := range faultsIn(path, new(ledger.Audit)) {
		return beyondMending(fmt.Errorf("%w; the file as it was is %s", f, kept))
	}
	plain.Fprintf(out, "found         %s\nkept          %s, the file as it was\n", found, kept)
	plain.Fprintf(out, "entries       %d, the last of %s: %s\n", last.Index+1, last.Time.UTC().Format(time.RFC3339), about(last))
	plain.Fprintf(out, "mended by     %s: %s\n\n", m.operator, m.reason)
	return nil
}

// about names an entry for people.
func about(e record.Entry) string {
	if e.MAC.IsZero() {
		return string(e.Kind)
	}
	return fmt.Sprintf("%s %s", e.Kind, e.MAC)
}

// lastEntry is the newest entry that can be read.
func lastEntry(path string) (record.Entry, error) {
	book, err := ledger.Open(path, ledger.Options{ReadOnly: true})
	if err != nil {
		return record.Entry{}, err
	}
	defer book.Close()
	size, _, err := book.Head()
	if err != nil {
		return record.Entry{}, err
	}
	return book.Entry(size - 1)
}

// mendable tells of a damaged header what was found, and whether the indexes have
// to be made anew too. A ledger with any other fault is refused.
func mendable(out io.Writer, path string) (found string, remake bool, err error) {
	faults := faultsIn(path, new(ledger.Audit))
	if len(faults) == 1 {
		return faults[0].Error(), false, nil
	}
	ofLog := faultsIn(path, &ledger.Audit{Log: true})
	if len(ofLog) != 1 || len(faults) == 0 {
		return "", false, tooMany(out, ofLog)
	}
	return fmt.Sprintf("%s; and %s of the indexes, none of the log", ofLog[0], plain.Count(len(faults)-1, "fault")), true, nil
}

func faultsIn(path string, audit *ledger.Audit) (list []ledger.Fault) {
	for f := range watched(audit, func(a *ledger.Audit) iter.Seq[ledger.Fault] { return ledger.Check(path, a) }) {
		list = append(list, f)
	}
	return list
}

// tooMany refuses faults that nothing mends.
func tooMany(out io.Writer, faults []ledger.Fault) error {
	for _, f := range faults {
		plain.Fprintf(out, "FAULT %s\n", f)
	}
	return beyondMending(errors.New(plain.Count(len(faults), "fault")))
}

// beyondMending refuses what is more than a damaged header or wrong indexes.
func beyondMending(err error) error {
	return stationFault(flow.Fail("E-LEDGER-DAMAGED",
		fmt.Errorf("ledger recover: this is more than one damaged header, and more than indexes: keep the file as it is and restore a backup (docs/recovery.md): %w", err)))
}

// keepDamaged copies the file, byte by byte, to a name that says when.
func keepDamaged(path string, now time.Time) (kept string, err error) {
	kept = path + ".damaged-" + now.UTC().Format("20060102T150405Z")
	from, err := keyfile.Open(path, keyfile.Ledger)
	if err != nil {
		return "", err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return "", err
	}
	to, err := os.OpenFile(kept, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm())
	if err != nil {
		return "", err
	}
	_, err = io.Copy(to, from)
	err = errors.Join(err, to.Sync(), to.Close())
	if err == nil {
		err = keyfile.SyncFolder(kept)
	}
	if err != nil {
		return "", errors.Join(fmt.Errorf("copy of the damaged ledger: %w", err), os.Remove(kept))
	}
	return kept, nil
}

// mend opens the ledger with what is left of it, and notes who decided it; with
// remake the indexes are made anew then.
func (m *mendFlags) mend(path, id, kept string, last record.Entry, remake bool) error {
	book, err := ledger.Open(path, ledger.Options{Recover: true, Simulated: last.Simulated, Station: id, Software: version()})
	switch {
	case errors.Is(err, ledger.ErrLocked): // nothing was done: the copy is of no use
		return errors.Join(station.LedgerFailure(err), os.Remove(kept))
	case errors.Is(err, ledger.ErrCorrupt):
		return beyondMending(fmt.Errorf("%w; the file as it was is %s too", err, kept))
	case err != nil:
		return stationFault(station.LedgerFailure(fmt.Errorf("%w; the file as it was is %s", err, kept)))
	}
	if remake {
		err = errors.Join(m.note(book, anew(last), kept), book.Rebuild())
	} else {
		err = m.note(book, "", kept)
	}
	if err = errors.Join(err, book.Close()); err != nil {
		return station.LedgerFailure(err)
	}
	return nil
}

// note writes into the ledger who mends it, why, and what is done to it.
func (m *mendFlags) note(book *ledger.Ledger, what, kept string) error {
	_, err := book.Append(record.Entry{Kind: record.Recovered, Operator: m.operator, Simulated: book.Simulated(),
		Message: fmt.Sprintf("%s%s; the file as it was: %s", m.reason, what, filepath.Base(kept))})
	return err
}
