package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/station"
)

type releasesAnswer struct {
	Releases []releaseAnswer `json:"releases"` // the newest first
}

func releaseListCommand(r *releaseFlags) *cobra.Command {
	r = &releaseFlags{options: r.options}
	var product string
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List releases, the newest first",
		Example: `  station release list --product lamp`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return r.with(func(all *station.Releases) error {
				list, err := all.All(product)
				if err != nil {
					return err
				}
				answers := releasesAnswer{[]releaseAnswer{}}
				for _, doc := range list {
					state := "not handed out"
					roll, err := rolloutOf(all, doc)
					switch {
					case err != nil:
						return err
					case *asJSON:
						answers.Releases = append(answers.Releases, releaseAnswer{doc, roll})
						continue
					case doc.Withdrawn != "":
						state = "withdrawn"
					case roll != nil:
						state = fmt.Sprintf("%s at %d %%", roll.State, roll.Percent)
					}
					plain.Fprintf(cmd.OutOrStdout(), "%-6d %-24s %-16s %s\n", doc.ID, doc.Product, doc.Version, state)
				}
				if *asJSON {
					return answer(cmd.OutOrStdout(), answers)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&product, "product", "", "only those of this product")
	asJSON = jsonFlag(cmd)
	r.addStore(cmd)
	return cmd
}
