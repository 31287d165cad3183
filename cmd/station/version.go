package main

import (
	"github.com/spf13/cobra"

	"station/internal/plain"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Say which version this program is",
		Example: "  station version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := plain.Fprintf(cmd.OutOrStdout(), "station version %s\n", version())
			return err
		},
	}
}
