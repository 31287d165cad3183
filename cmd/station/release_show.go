package main

import (
	"github.com/spf13/cobra"

	field "station/internal/release"
	"station/internal/station"
)

type releaseAnswer struct {
	*field.Release
	Rollout *field.Rollout `json:"rollout,omitempty"` // absent: not handed out
}

func releaseShowCommand(r *releaseFlags) *cobra.Command {
	r = &releaseFlags{options: r.options}
	var asJSON *bool
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
				if *asJSON {
					return answer(cmd.OutOrStdout(), releaseAnswer{doc, roll})
				}
				printRelease(cmd.OutOrStdout(), doc, roll)
				return nil
			})
		},
	}
	asJSON = jsonFlag(cmd)
	r.addStore(cmd)
	return cmd
}
