package main

import (
	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site"
)

func siteSettleCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var by site.Settled
	cmd := &cobra.Command{
		Use:   "settle MAC",
		Short: "Let a device go on that the site found in a conflict",
		Long: `Let a device go on that the running site found in a conflict (E-SITE-CONFLICT): two
benches that could not ask made it both, or gave one name to two devices. Every bench
is told, and writes down who settled it and why. "station site show" of the benches says
what the conflict is. Both devices of a conflict are settled, each by itself.`,
		Example: `  station site settle 24:0a:c4:01:02:03 --operator eve --reason "the other board is in the scrap box"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, mac, err := s.deviceAt(cmd, args[0])
			if err != nil {
				return err
			}
			if err := f.Settle(cmd.Context(), mac, by); err != nil {
				return siteFault(err)
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s may go on; the benches hear it at their next contact\n", mac)
			return nil
		},
	}
	s.add(cmd)
	demandReason(cmd, &by.Operator, &by.Reason, "`ID` of who explains it")
	return cmd
}
