package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/ledger"
)

func ledgerBackupCommand(l *ledgerFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Copy the ledger while the line runs",
		Long: `Write a consistent copy of the ledger to a new file and reread it. The line
may run meanwhile. The copy is a ledger of its own: after the loss of the
original it is put in its place (docs/recovery.md).`,
		Example:     `  station ledger backup /mnt/backup/ledger-2026-11-20.db`,
		Args:        cobra.ExactArgs(1),
		Annotations: map[string]string{writesArgument: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.read(func(b *ledger.Ledger) error { return backup(cmd.OutOrStdout(), b, args[0]) })
		},
	}
}

// backup copies a ledger that is whole: a copy of a damaged one could hide
// what is missing. The copy is reread, since it is what will be left.
func backup(out io.Writer, b *ledger.Ledger, path string) error {
	var said bytes.Buffer
	if err := verifyLedger(&said, func(a *ledger.Audit) iter.Seq[ledger.Fault] { return ledger.Check(b.Path(), a) }); err != nil {
		_, _ = said.WriteTo(out)
		return err
	}
	switch err := b.BackupTo(path); {
	case errors.Is(err, keyfile.ErrProtected):
		return fmt.Errorf("%w; a backup never overwrites a file", err)
	case errors.Is(err, fs.ErrExist):
		return fmt.Errorf("backup: %s is there already; a backup never overwrites a file", path)
	case err != nil:
		return stationFault(err)
	}
	err := verifyLedger(out, func(a *ledger.Audit) iter.Seq[ledger.Fault] { return ledger.Check(path, a) })
	if err != nil {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}
