package main

import (
	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/site/hub"
)

func siteTokenAddCommand(s *siteFlags) *cobra.Command {
	s = &siteFlags{options: s.options}
	cmd := &cobra.Command{
		Use:   "add NAME",
		Short: "Make a token by which somebody reads the page",
		Long: `Make a token by which somebody reads the site's page, also while it is served. It is
told once, on standard output: the site's folder has only its digest. Who has it can
read all that the page shows, and change nothing.`,
		Example: `  station site token add wall-screen`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := hub.Open(s.dir); err != nil {
				return err
			}
			token, err := readersOf(s.dir).Add(args[0])
			if err != nil {
				return err
			}
			plain.Fprintf(cmd.OutOrStdout(), "%s\n", token)
			return nil
		},
	}
	s.add(cmd)
	return cmd
}
