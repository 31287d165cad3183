package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/plain"
)

type keysAnswer struct {
	Keys []hsm.Key `json:"keys"`
}

func keyListCommand(t *tokenFlags) *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List our keys in the token",
		Example: `  station key list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var keys []hsm.Key
			err := t.with(func(token *hsm.Token) (err error) {
				keys, err = token.Keys(cmd.Context())
				return err
			})
			if err != nil {
				return err
			}
			if *asJSON {
				return answer(cmd.OutOrStdout(), keysAnswer{append([]hsm.Key{}, keys...)})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "LABEL\tROLE\tTYPE\tBITS\tCHECK VALUE\tPROBLEMS")
			for _, k := range keys {
				plain.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%d\n", k.Label, k.Role, k.Type, k.Bits, k.Check, len(k.Problems))
			}
			return w.Flush()
		},
	}
	asJSON = jsonFlag(cmd)
	return cmd
}
