package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/record"
)

func ledgerShowCommand(l *ledgerFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "show NAME",
		Short: "Show everything recorded about a device, as JSON lines",
		Long: `Show every entry about a device. NAME is its MAC, its serial number, its ID or the
serial number of its certificate.`,
		Example: `  station ledger show 24:0a:c4:01:02:03
  station ledger show SN00000042`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.read(func(b *ledger.Ledger) error {
				d, err := namedDevice(b, args[0])
				if err != nil {
					return fmt.Errorf("ledger show: %w", err)
				}
				entries, err := b.History(d.MAC)
				if err != nil {
					return stationFault(err)
				}
				return stationFault(showEntries(cmd.OutOrStdout(), b, entries))
			})
		},
	}
}

// showEntries prints the entries as they are in the log, each in the form of its
// version.
func showEntries(w io.Writer, b *ledger.Ledger, list []record.Entry) error {
	var indexes []uint64
	for _, e := range list {
		indexes = append(indexes, e.Index)
	}
	lines, err := b.LinesAt(indexes...)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if _, err := fmt.Fprintf(w, "%s\n", line); err != nil {
			return err
		}
	}
	return nil
}
