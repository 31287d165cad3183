package main

import (
	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteReleaseCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	var r hub.Release
	cmd := &cobra.Command{
		Use:   "release BENCH",
		Short: "Let a bench go on whose ledger was refused",
		Long: `Let a bench go on whose ledger the running site refused, once a person has explained
it. The site compares again at the next contact: a ledger that is still not the one
that the site has is refused again. Who did it and why stays with both proofs.`,
		Example: `  station site release bench-7 --operator eve --reason "an old backup was put back; the right one is there again"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := hub.Open(s.dir)
			if err != nil {
				return err
			}
			if err := f.Release(cmd.Context(), args[0], r); err != nil {
				return siteFault(err)
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s may come again; \"station site push\" at the bench clears its halt\n", args[0])
			return nil
		},
	}
	s.add(cmd)
	demandReason(cmd, &r.Operator, &r.Reason, "`ID` of who explains it")
	return cmd
}
