package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

func ledgerShowCommand(l *ledgerFlags) *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
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
				lines, err := entryLines(b, entries)
				if err != nil {
					return stationFault(err)
				}
				if *asJSON {
					return answer(cmd.OutOrStdout(), historyAnswer{d.MAC, lines})
				}
				for _, line := range lines {
					if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%s\n", line); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	asJSON = jsonFlag(cmd)
	return cmd
}

// historyAnswer is all that the ledger says of a device, the oldest first.
type historyAnswer struct {
	MAC     chip.MAC          `json:"mac"`
	Entries []json.RawMessage `json:"entries"`
}

// entryLines are the entries as they are in the log, each in the form of its
// version.
func entryLines(b *ledger.Ledger, list []record.Entry) (lines []json.RawMessage, err error) {
	var indexes []uint64
	for _, e := range list {
		indexes = append(indexes, e.Index)
	}
	raw, err := b.LinesAt(indexes...)
	for _, line := range raw {
		lines = append(lines, line)
	}
	return lines, err
}
