package main

import (
	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteTokenRevokeCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	cmd := &cobra.Command{
		Use:     "revoke NAME",
		Short:   "Take a token away",
		Long:    `Take a token away, also while the page is served: whoever reads with it is logged out.`,
		Example: `  station site token revoke wall-screen`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := hub.Open(s.dir); err != nil {
				return err
			}
			if err := readersOf(s.dir).Revoke(args[0]); err != nil {
				return err
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s reads the page no more\n", args[0])
			return nil
		},
	}
	s.add(cmd)
	return cmd
}
