package main

import (
	"github.com/spf13/cobra"

	"station/internal/plain"
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
				if only != 0 {
					doc, err := all.Find(only)
					if err != nil {
						return err
					}
					list = []*field.Release{doc}
				}
				answers := rolloutsAnswer{[]*field.Rollout{}}
				for _, doc := range list {
					roll, err := rolloutOf(all, doc)
					switch {
					case err != nil:
						return err
					case roll == nil && only != 0 && !*asJSON:
						plain.Fprintf(stderr, "station: release %d is not handed out; \"station rollout start %d\" begins it\n", only, only)
					case roll == nil:
					case *asJSON:
						answers.Rollouts = append(answers.Rollouts, roll)
					default:
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
