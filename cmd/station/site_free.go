package main

import (
	"cmp"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site"
)

func siteFreeCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var by site.Settled
	cmd := &cobra.Command{
		Use:   "free MAC",
		Short: "Take a device away from a bench that never comes again",
		Long: `Take a device away from a bench that was revoked, because it is lost: the running site
gave it the device, or its names, and the bench told nothing of it (E-ELSEWHERE or
E-CLAIMED at every other one). The device is that bench's again which had it before, or
nobody's, and any bench may take it. Every bench writes down who did it and why.

Nothing is freed while the bench belongs to the site, nor where the site has its ledger
of the device: other benches take it from there. What the lost bench burned the chip
shows: a device that no ledger explains is refused, and is scrap.`,
		Example: `  station site free 24:0a:c4:01:02:03 --operator eve --reason "bench-2 burned down"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, mac, err := s.deviceAt(cmd, args[0])
			if err != nil {
				return err
			}
			owner, err := f.Free(cmd.Context(), mac, by)
			if err != nil {
				return siteFault(err)
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s is %s's again; any bench may take it\n", mac, cmp.Or(owner, "nobody"))
			return nil
		},
	}
	s.add(cmd)
	demandReason(cmd, &by.Operator, &by.Reason, "`ID` of who answers for it")
	return cmd
}
