package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
)

func batchReturnCommand(l *ledgerFlags) *cobra.Command {
	var operator, reason string
	cmd := &cobra.Command{
		Use:   "return BATCH",
		Short: "Give the site the numbers back that this bench has left",
		Long: `Give the numbers of a batch back that the site gave this bench and that no device
took: this bench uses none of them any more, and the site gives them to others once
it has read that. A line that makes the batch gets new ones where there are any.
Closing a batch gives them back too.`,
		Example: `  station batch return 2026-47 --operator anna --reason "bench-2 makes the rest"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.change(cmd.Context(), func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				e, err := numbersLeft(b, args[0])
				if err == nil && e == nil {
					err = errors.New("this bench has no numbers of it left")
				}
				if err != nil {
					return fmt.Errorf("batch return: %s: %w", args[0], err)
				}
				e.Operator, e.Message = operator, reason
				if _, err := b.Append(*e); err != nil {
					return stationFault(err)
				}
				plain.Fprintf(cmd.OutOrStdout(), "given back; the line that runs, or \"station site push\", tells the site\n")
				return nil
			})
		},
	}
	demandReason(cmd, &operator, &reason, "who decides")
	return cmd
}

// numbersLeft is the entry that gives all numbers of a batch back which are left; nil
// where there are none.
func numbersLeft(b *ledger.Ledger, batch string) (*record.Entry, error) {
	lot, _, err := b.Lot(record.BatchLot(batch, b.Simulated()))
	if err != nil {
		return nil, stationFault(err)
	}
	list := lot.Unused()
	if len(list) == 0 {
		return nil, nil
	}
	return &record.Entry{Kind: record.NumbersReturned, Batch: batch, Simulated: b.Simulated(), About: record.AboutOf(record.Returned{Blocks: list})}, nil
}
