package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/record"
)

func batchAmendCommand(l *ledgerFlags) *cobra.Command {
	var operator, reason string
	var quota int
	cmd := &cobra.Command{
		Use:   "amend BATCH",
		Short: "Give an open batch another quota",
		Long: `Raise or lower the quota of a batch that is open: another number was ordered, or
one device more has to be made for one that was scrapped. Who did it and why
stays in the ledger, and stands in the account and the certificate.`,
		Example: `  station batch amend 2026-47 --quota 480 --operator anna --reason "order reduced"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if quota < 0 {
				return fmt.Errorf("batch amend: --quota %d: write how many devices it may have, or 0 for no limit", quota)
			}
			return l.change(cmd.Context(), func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				_, err := b.Append(record.Entry{Kind: record.BatchAmended, Batch: args[0], Quota: quota, Operator: operator, Message: reason, Simulated: b.Simulated()})
				if errors.Is(err, record.ErrBatch) || errors.Is(err, record.ErrQuota) {
					return fmt.Errorf("batch amend: %w", err)
				}
				return stationFault(err)
			})
		},
	}
	cmd.Flags().StringVar(&operator, "operator", "", "who decides")
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	cmd.Flags().IntVar(&quota, "quota", 0, "how many devices it may have from now on; 0 is no limit")
	for _, name := range []string{"operator", "reason", "quota"} {
		_ = cmd.MarkFlagRequired(name)
	}
	return cmd
}
