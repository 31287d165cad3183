package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
)

func batchShowCommand(l *ledgerFlags) *cobra.Command {
	var asJSON bool
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
				if len(args) == 0 {
					return stationFault(listBatches(cmd.OutOrStdout(), b))
				}
				account, err := accountOf(b, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					enc := json.NewEncoder(cmd.OutOrStdout())
					enc.SetIndent("", "  ")
					return enc.Encode(account)
				}
				if b.Simulated() {
					fmt.Fprintln(cmd.OutOrStdout(), "SIMULATION")
				}
				printAccount(cmd.OutOrStdout(), account)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func listBatches(out io.Writer, b *ledger.Ledger) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BATCH\tSTATE\tORDERED\tNUMBERS\tREFUSED\tSTARTED\tPASSED\tSCRAPPED\tQUARANTINED")
	for lot, err := range b.Lots() {
		if err != nil {
			return err
		}
		name, is := lot.BatchName(b.Simulated())
		if !is {
			continue
		}
		state := "not opened"
		switch {
		case !lot.Closed.IsZero():
			state = "closed " + lot.Closed.UTC().Format(time.RFC3339)
		case !lot.Opened.IsZero():
			state = "open"
		}
		plain.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", name, state, lot.Quota, lot.Reserved, lot.Refused, lot.Devices, lot.Passed, lot.Scrapped, lot.Quarantined)
	}
	return w.Flush()
}
