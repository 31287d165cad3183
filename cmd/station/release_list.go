package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/plain"
	"station/internal/station"
)

func releaseListCommand(r *releaseFlags) *cobra.Command {
	r = &releaseFlags{options: r.options}
	var product string
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
				for _, doc := range list {
					state := "not handed out"
					roll, _, err := all.Rollout(doc)
					switch {
					case err != nil:
						return err
					case doc.Withdrawn != "":
						state = "withdrawn"
					case roll != nil:
						state = fmt.Sprintf("%s at %d %%", roll.State, roll.Percent)
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%-6d %-24s %-16s %s\n", doc.ID, doc.Product, plain.Line(doc.Version), state)
				}
				return nil
			})
		},
	}
	cmd.Flags().StringVar(&product, "product", "", "only those of this product")
	r.addStore(cmd)
	return cmd
}
