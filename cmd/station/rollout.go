package main

import (
	"github.com/spf13/cobra"

	field "station/internal/release"
	"station/internal/station"
)

func rolloutCommand(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "rollout", Short: "Hand a release out, step by step"}
	cmd.AddCommand(rolloutStartCommand(o), rolloutPauseCommand(o), rolloutResumeCommand(o), rolloutStatusCommand(o))
	return cmd
}

// heldCommand is what rollout pause and rollout resume share.
func heldCommand(o *options, use, short, example string, do func(*station.Releases, int64, string) (*field.Rollout, error)) *cobra.Command {
	r := &releaseFlags{options: o}
	var reason string
	cmd := &cobra.Command{
		Use:     use + " NUMBER",
		Short:   short,
		Example: example,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.of(args[0], func(all *station.Releases, id int64) error {
				roll, err := do(all, id, reason)
				if err == nil {
					printRollout(cmd.OutOrStdout(), roll)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	_ = cmd.MarkFlagRequired("reason")
	r.addStore(cmd)
	r.addOperator(cmd)
	return cmd
}
