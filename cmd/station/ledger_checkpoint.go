package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	qa "station/internal/report"
)

func ledgerCheckpointCommand(l *ledgerFlags) *cobra.Command {
	s := &signerFlags{tokenFlags: tokenFlags{options: l.options}}
	var out output
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "Let the token sign the head of the ledger",
		Long: `Let the token sign the head of the ledger, and keep the signature in it. Who
keeps a copy elsewhere can prove later that nothing before it was changed or cut
off.`,
		Example: `  station ledger checkpoint --out ledger-2026-11-20.checkpoint`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			token, key, err := s.open(cmd.Context())
			if err != nil {
				return err
			}
			defer token.Close()
			sign := func(b *ledger.Ledger) error {
				signed, err := b.Checkpoint(key)
				if err != nil {
					return stationFault(err)
				}
				return out.print(cmd.OutOrStdout(), signed)
			}
			err = l.real(cmd.Context(), sign)
			if errors.Is(err, ledger.ErrLocked) {
				fmt.Fprintln(cmd.ErrOrStderr(), "another process has the ledger open, and writes nothing for others: the checkpoint is signed, but not kept in the ledger")
				err = l.read(func(b *ledger.Ledger) error {
					if b.Simulated() {
						return qa.ErrSimulated
					}
					return sign(b)
				})
			}
			return err
		},
	}
	s.add(cmd)
	out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
	return cmd
}
