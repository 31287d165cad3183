package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/station"
)

func keyAdoptCommand(t *tokenFlags) *cobra.Command {
	n := &noteFlags{tokenFlags: t}
	var role string
	cmd := &cobra.Command{
		Use:   "adopt LABEL",
		Short: "Take a key that the token maker's tool made, or that was brought in, as one of ours",
		Long: `Take a key of another program's making as one of ours: its attributes are judged,
it does its work once, and it is noted in the station's ledger with its check
value. From then on it is used under its label as if "hsm init" had made it. The
key itself is not touched.

This is for tokens that make keys with the maker's own tool alone, and for keys
that the token does not call its own: restored from a backup, shared by two
stations, or in a token that never says so.`,
		Example: `  tpm2_ptool addkey --algorithm hmac:sha256 --label line-1 --userpin ... --key-label station-master
  station key adopt station-master --operator eve`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			known := []string{string(hsm.Master), string(hsm.KEK), string(hsm.SharedKey), string(hsm.Signer), string(hsm.SecureBoot), string(hsm.CA), string(hsm.Bundle), string(hsm.Manifest)}
			if role != "" && !slices.Contains(known, role) {
				return fmt.Errorf("key adopt: --role %q is not known; write one of %s", role, commas(known))
			}
			return n.making(cmd, station.KeyFound, oneKey(func(token *hsm.Token) (hsm.Key, error) {
				return token.Adopt(cmd.Context(), args[0], hsm.Role(role))
			}))
		},
	}
	cmd.Flags().StringVar(&role, "role", "", "master, kek, shared, signer, secure-boot or ca (default: the first that it is fit for)")
	n.add(cmd)
	_ = cmd.MarkFlagRequired("operator")
	return cmd
}
