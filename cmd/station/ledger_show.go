package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
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
				entries, err := b.History(mac)
				if err != nil {
					return stationFault(err)
				}
				if len(entries) == 0 {
					return fmt.Errorf("ledger show: no device %s; \"station ledger list\" lists them", mac)
				}
				enc := json.NewEncoder(cmd.OutOrStdout())
				for _, e := range entries {
					if err := enc.Encode(e); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}
