package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
)

func ledgerListCommand(l *ledgerFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the devices",
		Example: `  station ledger list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.read(func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				return stationFault(listLedger(cmd.OutOrStdout(), b))
			})
		},
	}
}

func listLedger(out io.Writer, b *ledger.Ledger) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MAC\tVERDICT\tCODE\tKEY ID\tJOB\tBATCH\tRUNS\tLAST SEEN")
	rows := 0
	for d, err := range b.Devices() {
		if err != nil {
			return err
		}
		verdict, code := d.State()
		plain.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s%s\n", d.MAC, verdict, code, d.FlashKey().ID, d.Job, d.Batch, d.Runs, d.Updated.UTC().Format(time.RFC3339), mark(d))
		if rows++; rows%1000 == 0 { // not all of a large ledger in memory
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// mark says of a virtual chip that it is one.
func mark(d record.Device) string {
	if d.Simulated {
		return "  SIMULATED"
	}
	return ""
}
