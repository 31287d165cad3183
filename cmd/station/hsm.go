package main

import (
	"github.com/spf13/cobra"
)

func hsmCommand(o *options) *cobra.Command {
	t := &tokenFlags{options: o}
	cmd := &cobra.Command{Use: "hsm", Short: "Prepare and examine the key token"}
	t.add(cmd)
	cmd.AddCommand(hsmInitCommand(t), hsmStatusCommand(t))
	return cmd
}
