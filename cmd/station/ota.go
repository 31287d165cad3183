package main

import (
	"github.com/spf13/cobra"
)

func otaCommand(*options) *cobra.Command {
	cmd := &cobra.Command{Use: "ota", Short: "Make images for updates over the air"}
	cmd.AddCommand(otaBuildCommand())
	return cmd
}
