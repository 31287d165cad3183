package main

import (
	"github.com/spf13/cobra"

	"station/internal/station"
)

func rolloutStatusCommand(o *options) *cobra.Command {
	r := &releaseFlags{options: o}
	cmd := &cobra.Command{
		Use:     "status [NUMBER]",
		Short:   "Show how far rollouts have come",
		Example: `  station rollout status`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			only := int64(0)
			if len(args) > 0 {
				id, err := releaseNumber(args[0])
				if err != nil {
					return err
				}
				only = id
			}
			return r.with(func(all *station.Releases) error {
				list, err := all.All("")
				if err != nil {
					return err
				}
				for _, doc := range list {
					roll, _, err := all.Rollout(doc)
					if err != nil {
						return err
					}
					if roll != nil && (only == 0 || doc.ID == only) {
						printRelease(cmd.OutOrStdout(), doc, roll)
					}
				}
				return nil
			})
		},
	}
	r.addStore(cmd)
	return cmd
}
