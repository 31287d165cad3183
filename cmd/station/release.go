package main

import "github.com/spf13/cobra"

func releaseCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "release", Short: "Make firmware ready for devices in the field"}
	cmd.AddCommand(releaseBundleCommand(o))
	return cmd
}
