package main

import (
	"errors"
	"io"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	qa "station/internal/report"
)

func batchCommand(o *options) *cobra.Command {
	l := &ledgerFlags{options: o}
	cmd := &cobra.Command{Use: "batch", Short: "Open, show, amend and close batches; certify what they came to"}
	cmd.PersistentFlags().StringVar(&l.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	cmd.AddCommand(batchOpenCommand(l), batchShowCommand(l), batchAmendCommand(l), batchReturnCommand(l), batchCloseCommand(l), batchPackageCommand(l))
	return cmd
}

// accountOf counts the batch as it is now.
func accountOf(b *ledger.Ledger, batch string) (*qa.Balance, error) {
	size, _, err := b.Head()
	if err != nil {
		return nil, stationFault(err)
	}
	bar := newProgress("counting the batch", "entries")
	defer bar.end()
	account, err := qa.BalanceOf(b, size, batch, bar.tell)
	if err != nil && !errors.Is(err, qa.ErrNoBatch) {
		err = stationFault(err)
	}
	return account, err
}

func printAccount(out io.Writer, b *qa.Balance) {
	for _, line := range b.Lines() {
		plain.Fprintf(out, "%-12s %s\n", line[0], line[1])
	}
	if b.Moved > 0 && b.Closed.IsZero() && b.Ordered > b.Passed {
		plain.Fprintf(out, "%-12s %d of its devices moved to another batch and kept their numbers; \"station batch amend %s --quota N\" makes room for others\n", "NOTE", b.Moved, b.Batch)
	}
}
