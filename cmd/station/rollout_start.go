package main

import (
	"github.com/spf13/cobra"

	field "station/internal/release"
	"station/internal/station"
)

func rolloutStartCommand(o *options) *cobra.Command {
	r := &releaseFlags{options: o}
	var percent, samples, failures int
	cmd := &cobra.Command{
		Use:   "start NUMBER",
		Short: "Offer a release to a share of its product's devices, or to a larger one",
		Long: `Offer a release to a share of its product's devices. Which are the first is
decided by a hash of release and MAC: the same for ever, and others with the next
release. A larger share holds all of a smaller one: start again with 25, 50, 100.

It stops by itself when of at least --samples results more than --failures per
cent were failures. What is not given stays as it is. One that is paused or that
stopped goes on by "station rollout resume" alone.`,
		Example: `  station rollout start 7 --percent 5 --operator anna
  station rollout start 7 --percent 100 --operator anna`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.of(args[0], func(all *station.Releases, id int64) error {
				roll, err := all.Start(id, share(cmd, percent, samples, failures), "")
				if err == nil {
					printRollout(cmd.OutOrStdout(), roll)
				}
				return err
			})
		},
	}
	f := cmd.Flags()
	f.IntVar(&percent, "percent", station.DefaultPercent, "share of the devices, 0 to 100")
	f.IntVar(&samples, "samples", field.DefaultSamples, "results before which it does not stop by itself")
	f.IntVar(&failures, "failures", field.DefaultFailures, "failures in a hundred results above which it stops")
	r.addStore(cmd)
	r.addOperator(cmd)
	return cmd
}

// share is what the command line says; what it does not name is nil.
func share(cmd *cobra.Command, percent, samples, failures int) (s station.Share) {
	for name, v := range map[string]struct {
		to   **int
		from *int
	}{"percent": {&s.Percent, &percent}, "samples": {&s.Samples, &samples}, "failures": {&s.Failures, &failures}} {
		if cmd.Flags().Changed(name) {
			*v.to = v.from
		}
	}
	return s
}
