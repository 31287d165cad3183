package main

import "github.com/spf13/cobra"

func releaseBundleCommand(*options) *cobra.Command {
	cmd := &cobra.Command{Use: "bundle", Short: "Slot bundles: apps that are encrypted for the flash of a fleet"}
	cmd.AddCommand(releaseBundleCheckCommand())
	return cmd
}
