package main

import (
	"github.com/spf13/cobra"

	field "station/internal/release"
	"station/internal/station"
)

type rolloutsAnswer struct {
	Rollouts []*field.Rollout `json:"rollouts"`
}

func rolloutStatusCommand(o *options) *cobra.Command {
	r := &releaseFlags{options: o}
	var asJSON *bool
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
				answers := rolloutsAnswer{[]*field.Rollout{}}
				for _, doc := range list {
					roll, _, err := all.Rollout(doc)
					if err != nil {
						return err
					}
					if roll == nil || only != 0 && doc.ID != only {
						continue
					}
					if *asJSON {
						answers.Rollouts = append(answers.Rollouts, roll)
					} else {
						printRelease(cmd.OutOrStdout(), doc, roll)
					}
				}
				if *asJSON {
					return answer(cmd.OutOrStdout(), answers)
				}
				return nil
			})
		},
	}
	asJSON = jsonFlag(cmd)
	r.addStore(cmd)
	return cmd
}
