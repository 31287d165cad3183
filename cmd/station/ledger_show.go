package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

func ledgerShowCommand(l *ledgerFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show MAC",
		Short:   "Show everything recorded about a device, as JSON lines",
		Example: `  station ledger show 24:0a:c4:01:02:03`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mac, err := chip.ParseMAC(args[0])
			if err != nil {
				return err
			}
			return l.read(func(b *ledger.Ledger) error {
				if err := deviceAgrees(b, mac); err != nil {
					return err
				}
				entries, err := b.History(mac)
				if err != nil {
					return stationFault(err)
				}
				if len(entries) == 0 {
					return fmt.Errorf("ledger show: no device %s; \"station ledger list\" lists them", mac)
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
