package main

import (
	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/station"
)

func sitePushCommand(o *options) *cobra.Command {
	l := &ledgerFlags{options: o}
	cmd := &cobra.Command{
		Use:   "push",
		Short: "Send the site what it has not got of this bench's ledger",
		Long: `Send the site what it has not got of this bench's ledger, without a line. A line that
runs does it by itself. The site compares first: where it has another ledger of
this bench, nothing is sent, and the bench makes nothing until that is explained. What
it tells of devices, which are in a conflict or are not any more, is written down.`,
		Example: `  station site push`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			file, err := station.LoadFile(o.station)
			if err != nil {
				return err
			}
			change := func(f func(*ledger.Ledger) error) error { return l.change(cmd.Context(), f) }
			return l.read(func(b *ledger.Ledger) error {
				now, err := station.PushSite(cmd.Context(), file, b, change, func(text string) { plain.Fprintf(stderr, "station: %s\n", text) })
				if err != nil {
					return stationFault(err)
				}
				plain.Fprintf(cmd.OutOrStdout(), "the site has %s of the ledger\n", plain.Count(now.Mirrored, "entry"))
				return nil
			})
		},
	}
	return cmd
}
