package main

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"

	"github.com/spf13/cobra"

	"station/internal/ledger"
)

func ledgerBackupCommand(l *ledgerFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the ledger while the line runs",
		Long: `Write a consistent copy of the ledger to a new file and reread it. The line
may run meanwhile. The copy is a ledger of its own: after the loss of the
original it is put in its place (docs/recovery.md).`,
		Example: `  station ledger backup /mnt/backup/ledger-2026-11-20.db`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.read(func(b *ledger.Ledger) error {
				err := b.BackupTo(args[0])
				switch {
				case errors.Is(err, fs.ErrExist):
					return fmt.Errorf("%w; a backup never overwrites a file", err)
				case err != nil:
					return stationFault(err)
				}
				err = verifyLedger(cmd.OutOrStdout(), func(a *ledger.Audit) iter.Seq[ledger.Fault] { return ledger.Check(args[0], a) })
				if err != nil {
					return errors.Join(err, os.Remove(args[0]))
				}
				return nil
			})
		},
	}
}
