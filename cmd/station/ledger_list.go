package main

import (
	"fmt"
	"io"
	"iter"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	qa "station/internal/report"
)

func ledgerListCommand(l *ledgerFlags) *cobra.Command {
	var f filterFlags
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the devices",
		Example: `  station ledger list
  station ledger list --verdict quarantine --batch 2026-47
  station ledger list --day 2026-11-29 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			filter, err := f.filter()
			if err != nil {
				return err
			}
			return l.read(func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				if *asJSON {
					return stationFault(answerRows(cmd.OutOrStdout(), devicesAnswer{}, "devices", deviceRows(b, filter)))
				}
				return stationFault(listLedger(cmd.OutOrStdout(), b, filter))
			})
		},
	}
	f.addTimes(cmd)
	cmd.Flags().StringVar(&f.verdict, "verdict", "", "pass, retry, scrap, quarantine, station or begun")
	asJSON = jsonFlag(cmd)
	return cmd
}

type devicesAnswer struct {
	Devices []deviceRow `json:"devices"`
}

// deviceRow is a device as it is now; seen is when it was there last.
type deviceRow struct {
	MAC       chip.MAC       `json:"mac"`
	Verdict   record.Verdict `json:"verdict"`
	Code      record.Code    `json:"code,omitempty"`
	Key       string         `json:"key,omitempty"` // ID of the key for flash encryption
	Serial    string         `json:"serial,omitempty"`
	Job       string         `json:"job,omitempty"`
	Revision  string         `json:"revision,omitempty"`
	JobDigest string         `json:"jobDigest,omitempty"`
	Batch     string         `json:"batch,omitempty"`
	Runs      int            `json:"runs"`
	Sealed    bool           `json:"sealed"`
	Seen      time.Time      `json:"seen"`
	Simulated bool           `json:"simulated,omitempty"`
}

// deviceRows are the devices that a filter wants, by their last day here.
func deviceRows(b *ledger.Ledger, f qa.Filter) iter.Seq2[deviceRow, error] {
	return func(yield func(deviceRow, error) bool) {
		for d, err := range b.Devices() {
			if err != nil {
				yield(deviceRow{}, err)
				return
			}
			verdict, code := d.State()
			row := deviceRow{d.MAC, verdict, code, d.FlashKey().ID, d.Serial, d.Job, d.Revision, d.JobHash, d.Batch, d.Runs, d.Sealed, d.Updated.UTC(), d.Simulated}
			if row.wanted(f) && !yield(row, nil) {
				return
			}
		}
	}
}

func (d deviceRow) wanted(f qa.Filter) bool {
	return (f.Verdict == "" || f.Verdict == d.Verdict) && (f.Job == "" || f.Job == d.Job) && (f.Batch == "" || f.Batch == d.Batch) &&
		(f.From.IsZero() || !d.Seen.Before(f.From)) && (f.To.IsZero() || d.Seen.Before(f.To))
}

func listLedger(out io.Writer, b *ledger.Ledger, f qa.Filter) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MAC\tVERDICT\tCODE\tKEY ID\tSERIAL\tJOB\tBATCH\tRUNS\tLAST SEEN")
	rows := 0
	for d, err := range deviceRows(b, f) {
		if err != nil {
			return err
		}
		plain.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s%s\n", d.MAC, d.Verdict, d.Code, d.Key, d.Serial, d.Job, d.Batch, d.Runs, d.Seen.Format(time.RFC3339), mark(d.Simulated))
		if rows++; rows%1000 == 0 { // not all of a large ledger in memory
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// mark says of a virtual chip that it is one.
func mark(simulated bool) string {
	if simulated {
		return "  SIMULATED"
	}
	return ""
}
