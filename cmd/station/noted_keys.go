package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/spf13/cobra"

	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/station"
)

// noteFlags are those of commands that note in the station's ledger what they
// did with keys.
type noteFlags struct {
	*tokenFlags
	operator string
}

func (n *noteFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.operator, "operator", "", "who does it, for the ledger")
}

// stationFile is the station file, or nil where --hsm makes it needless and there is
// none.
func (t *tokenFlags) stationFile() (*station.File, error) {
	file, err := station.LoadFile(t.station)
	if t.uri != "" && errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return file, err
}

// making lets fn make keys, notes them, and shows them. What is wrong with the
// ledger is found before a key is made, as far as it can be.
func (n *noteFlags) making(cmd *cobra.Command, how string, fn func(*hsm.Token) ([]hsm.Key, error)) error {
	if record.Blank(n.operator) {
		return fmt.Errorf("%s: who does it goes into the ledger: add --operator NAME", strings.TrimPrefix(cmd.CommandPath(), "station "))
	}
	file, err := n.stationFile()
	if err != nil {
		return err
	}
	token, err := n.ready(file)
	if err != nil {
		return err
	}
	defer token.Close()
	keys, err := fn(token)
	err = tokenFault(err)
	var notes []record.Entry
	var labels []string
	for _, k := range keys {
		notes, labels = append(notes, station.KeyNote(token.Info(), k, how)), append(labels, k.Label)
	}
	noted := n.note(context.WithoutCancel(cmd.Context()), file, notes) // the keys are there
	for i, k := range keys {
		if i > 0 {
			fmt.Fprintln(cmd.OutOrStdout())
		}
		printKey(cmd.OutOrStdout(), k)
	}
	if file == nil && len(keys) > 0 {
		plain.Fprintf(cmd.ErrOrStderr(), "noted in no ledger, because there is no station file %s; write one, then: %s\n", n.station, noteCommand(labels))
	}
	if noted == nil {
		return err
	}
	noted = unnoted(noted, labels)
	if err == nil {
		return noted
	}
	report(noted)
	return stationFault(err) // as the ledger's is
}

// ready opens the token, of which the ledger takes notes.
func (n *noteFlags) ready(file *station.File) (*hsm.Token, error) {
	token, err := n.open()
	if err != nil {
		return nil, err
	}
	if _, err = file.TakesNotes(token.Info(), version()); err != nil {
		token.Close()
		return nil, err
	}
	return token, nil
}

func noteCommand(labels []string) string {
	return fmt.Sprintf("station key note %s --operator YOU", strings.Join(labels, " "))
}

// unnoted says that the keys are there all the same.
func unnoted(err error, labels []string) error {
	code := flow.Code("E-LEDGER")
	var f *flow.Failure
	if errors.As(err, &f) {
		code, err = f.Code, f.Err
	}
	return stationFault(flow.Fail(code, fmt.Errorf("made in the token, but not noted in the ledger: %s; when the ledger works again: %s: %w",
		strings.Join(labels, ", "), noteCommand(labels), err)))
}

// note appends the entries to the station's ledger.
func (n *noteFlags) note(ctx context.Context, file *station.File, notes []record.Entry) error {
	if file == nil || len(notes) == 0 {
		return nil
	}
	for i := range notes {
		notes[i].Operator = n.operator
	}
	l := &ledgerFlags{options: n.options, path: file.Ledger}
	return l.change(ctx, func(b *ledger.Ledger) error {
		_, err := b.AppendAll(notes)
		return stationFault(err)
	})
}

// compare holds the audit against the station's ledger, and tells how many keys
// of the token that speaks of; "" where there is no ledger.
func (t *tokenFlags) compare(s *hsm.Status) string {
	file, err := t.stationFile()
	if file == nil && err == nil {
		return ""
	}
	var noted []hsm.Noted
	if err == nil {
		noted, err = station.KeysNotedAt(file.Ledger, s.Info)
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ""
	case err != nil:
		s.Record = append(s.Record, fmt.Sprintf("the keys cannot be compared with the ledger: %v", err))
		return ""
	}
	s.Compare(noted)
	return fmt.Sprintf("%s speaks of %s in this token", file.Ledger, plain.Count(len(noted), "key"))
}
