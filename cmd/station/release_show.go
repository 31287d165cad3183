package main

import (
	"github.com/spf13/cobra"

	"station/internal/station"
)

func releaseShowCommand(r *releaseFlags) *cobra.Command {
	r = &releaseFlags{options: r.options}
	cmd := &cobra.Command{
		Use:     "show NUMBER",
		Short:   "Show a release: digests, whom it fits, how far it has come",
		Example: `  station release show 7`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.of(args[0], func(all *station.Releases, id int64) error {
				doc, err := all.Find(id)
				if err != nil {
					return err
				}
				roll, _, err := all.Rollout(doc)
				if err != nil {
					return err
				}
				printRelease(cmd.OutOrStdout(), doc, roll)
				return nil
			})
		},
	}
	r.addStore(cmd)
	return cmd
}
