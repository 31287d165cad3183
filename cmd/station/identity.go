package main

import (
	"github.com/spf13/cobra"
)

func identityCommand(o *options) *cobra.Command {
	t := &tokenFlags{options: o}
	cmd := &cobra.Command{Use: "identity", Short: "Certify devices, and what makes them known later"}
	t.add(cmd)
	cmd.AddCommand(identityCaCommand(t))
	return cmd
}
