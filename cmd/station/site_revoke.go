package main

import (
	"errors"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteRevokeCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	cmd := &cobra.Command{
		Use:   "revoke BENCH",
		Short: "Let a bench in no more",
		Long: `Let a bench in no more, also while the site runs: it is put out at once. What the
site has of it stays. "station site add" makes it another file, if it is to come back.`,
		Example: `  station site revoke bench-7`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := hub.Open(s.dir)
			if err != nil {
				return err
			}
			err = f.Revoke(args[0])
			if err != nil && !errors.Is(err, hub.ErrRevoked) { // the running site may not have heard it
				return err
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s is let in no more\n", args[0])
			return s.apply(cmd.Context(), f, "give the command again")
		},
	}
	s.add(cmd)
	return cmd
}
