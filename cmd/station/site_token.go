package main

import (
	"github.com/spf13/cobra"
)

func siteTokenCommand(s *siteFlags) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Who may read the site's page"}
	cmd.AddCommand(siteTokenAddCommand(s), siteTokenListCommand(s), siteTokenRevokeCommand(s))
	return cmd
}
