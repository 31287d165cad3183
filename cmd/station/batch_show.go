package main

import (
	"fmt"
	"io"
	"iter"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	qa "station/internal/report"
)

type batchAnswer struct {
	qa.Balance
	Balanced  bool `json:"balanced"` // everything is accounted for
	Simulated bool `json:"simulated,omitempty"`
}

type batchesAnswer struct {
	Batches []batchRow `json:"batches"`
}

// batchRow counts devices, but for Ordered and Numbers: those that were asked
// for, and those begun.
type batchRow struct {
	Batch       string    `json:"batch"`
	State       string    `json:"state"` // not opened, open, closed
	Opened      time.Time `json:"opened,omitzero"`
	Closed      time.Time `json:"closed,omitzero"`
	Ordered     int       `json:"ordered"` // 0: no quota
	Numbers     int       `json:"numbers"`
	Refused     int       `json:"refused"`
	Started     int       `json:"started"`
	Passed      int       `json:"passed"`
	Scrapped    int       `json:"scrapped"`
	Quarantined int       `json:"quarantined"`
}

func batchShowCommand(l *ledgerFlags) *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "show [BATCH]",
		Short: "List the batches, or show the account of one",
		Example: `  station batch show
  station batch show 2026-47 --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.read(func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				if len(args) == 0 && *asJSON {
					return stationFault(answerRows(cmd.OutOrStdout(), batchesAnswer{}, "batches", batchRows(b)))
				}
				if len(args) == 0 {
					return stationFault(listBatches(cmd.OutOrStdout(), b))
				}
				account, err := accountOf(b, args[0])
				if err != nil {
					return err
				}
				if *asJSON {
					return answer(cmd.OutOrStdout(), batchAnswer{*account, account.Balanced(), b.Simulated()})
				}
				if b.Simulated() {
					fmt.Fprintln(cmd.OutOrStdout(), "SIMULATION")
				}
				printAccount(cmd.OutOrStdout(), account)
				return nil
			})
		},
	}
	asJSON = jsonFlag(cmd)
	return cmd
}

// batchRows are the batches of the ledger's own kind.
func batchRows(b *ledger.Ledger) iter.Seq2[batchRow, error] {
	return func(yield func(batchRow, error) bool) {
		for lot, err := range b.Lots() {
			if err != nil {
				yield(batchRow{}, err)
				return
			}
			name, is := lot.BatchName(b.Simulated())
			if !is {
				continue
			}
			state := "not opened"
			switch {
			case !lot.Closed.IsZero():
				state = "closed"
			case !lot.Opened.IsZero():
				state = "open"
			}
			row := batchRow{name, state, lot.Opened, lot.Closed, lot.Quota, lot.Reserved, lot.Refused, lot.Devices, lot.Passed, lot.Scrapped, lot.Quarantined}
			if !yield(row, nil) {
				return
			}
		}
	}
}

func listBatches(out io.Writer, b *ledger.Ledger) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BATCH\tSTATE\tORDERED\tNUMBERS\tREFUSED\tSTARTED\tPASSED\tSCRAPPED\tQUARANTINED")
	for r, err := range batchRows(b) {
		if err != nil {
			return err
		}
		state := r.State
		if !r.Closed.IsZero() {
			state += " " + r.Closed.UTC().Format(time.RFC3339)
		}
		plain.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", r.Batch, state, r.Ordered, r.Numbers, r.Refused, r.Started, r.Passed, r.Scrapped, r.Quarantined)
	}
	return w.Flush()
}
