package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/hsm"
	"station/internal/station"
)

func keyNewCommand(t *tokenFlags) *cobra.Command {
	n := &noteFlags{tokenFlags: t}
	var label string
	var size int
	cmd := &cobra.Command{
		Use:   "new",
		Short: "Make a shared flash-encryption key inside the token",
		Long: `Make a shared flash-encryption key inside the token, and note it in the
station's ledger.`,
		Example: `  station key new --label fleet-8 --operator eve`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if !slices.Contains(chip.KeySizes, size) {
				return fmt.Errorf("key new: --size %d: a key is 32 bytes, 24 for coding scheme 3/4, 64 for XTS-AES-256, or 16 for an ESP32-C2", size)
			}
			return n.making(cmd, station.KeyMade, oneKey(func(token *hsm.Token) (hsm.Key, error) {
				return token.NewShared(cmd.Context(), label, size)
			}))
		},
	}
	cmd.Flags().StringVar(&label, "label", "", "label of the new key")
	cmd.Flags().IntVar(&size, "size", 32, "bytes: 32, 24 for coding scheme 3/4, 64 for XTS-AES-256, or 16 for an ESP32-C2")
	n.add(cmd)
	_ = cmd.MarkFlagRequired("label")
	return cmd
}

// oneKey adapts fn, which makes one key, to return a slice.
func oneKey(fn func(*hsm.Token) (hsm.Key, error)) func(*hsm.Token) ([]hsm.Key, error) {
	return func(token *hsm.Token) ([]hsm.Key, error) {
		key, err := fn(token)
		if err != nil {
			return nil, err
		}
		return []hsm.Key{key}, nil
	}
}
