package main

import (
	"github.com/spf13/cobra"

	"station/internal/hsm"
)

type keyAnswer struct{ hsm.Key }

func keyShowCommand(t *tokenFlags) *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
		Use:     "show LABEL",
		Short:   "Show a key's attributes and check value, never the key",
		Example: `  station key show station-master`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return t.with(func(token *hsm.Token) error {
				key, err := token.Show(cmd.Context(), args[0])
				switch {
				case err != nil:
					return err
				case *asJSON:
					return answer(cmd.OutOrStdout(), keyAnswer{key})
				}
				printKey(cmd.OutOrStdout(), key)
				return nil
			})
		},
	}
	asJSON = jsonFlag(cmd)
	return cmd
}
