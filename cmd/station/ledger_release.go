package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/record"
	"station/internal/station"
)

func ledgerReleaseCommand(l *ledgerFlags) *cobra.Command {
	var operator, second, reason string
	cmd := &cobra.Command{
		Use:   "release NAME",
		Short: "Let a device that was set aside go on",
		Long: `Let a device that was set aside (SCRAP or QUARANTINE) be tried again. Who did
it and why stays in the ledger; where the station file wants two people for it,
the name of the second too. The chip is judged anew when it is put back. NAME is
the device's MAC, its serial number or its ID.`,
		Example: `  station ledger release 24:0a:c4:01:02:03 --operator anna --reason "wrong job file"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			about, err := l.seconded(station.Release, operator, second)
			if err != nil {
				return fmt.Errorf("ledger %w", err)
			}
			return l.change(cmd.Context(), func(b *ledger.Ledger) error {
				d, err := namedDevice(b, args[0])
				if err == nil && !d.SetAside {
					err = fmt.Errorf("%s is not set aside", d.MAC)
				}
				if err != nil {
					return fmt.Errorf("ledger release: %w", err)
				}
				_, err = b.Append(record.Entry{Kind: record.Released, MAC: d.MAC, Operator: operator, Message: reason, Simulated: d.Simulated, About: about})
				return stationFault(err)
			})
		},
	}
	demandReason(cmd, &operator, &reason, "who decides")
	cmd.Flags().StringVar(&second, "second", "", secondUsage)
	return cmd
}
