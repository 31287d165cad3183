package main

import (
	"fmt"
	"strconv"

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
			id, err := releaseNumber(args[0])
			if err != nil {
				return err
			}
			return r.with(func(all *station.Releases) error {
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

// releaseNumber reads the number of a release.
func releaseNumber(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id < 1 {
		return 0, fmt.Errorf("release %q: want its number, as \"station release list\" shows it", text)
	}
	return id, nil
}
