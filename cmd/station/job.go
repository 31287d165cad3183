package main

import (
	"github.com/spf13/cobra"
)

func jobCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "job", Short: "Make and check job files"}
	cmd.AddCommand(jobCheckCommand(o), jobNewCommand())
	return cmd
}
