package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/job"
	"station/internal/ledger"
	"station/internal/record"
)

func batchOpenCommand(l *ledgerFlags) *cobra.Command {
	var operator, jobPath string
	var devices int
	cmd := &cobra.Command{
		Use:   "open BATCH",
		Short: "Open a batch of so many devices",
		Long: `Open a batch: so many devices may be made in it. Each takes its number in the
ledger before its key is made, so that a power cut may skip a number and never
makes a device too many. "station run --batch BATCH" makes them. A batch that is
opened with --job takes only devices of that job file and its images as they are
now; a run with others is refused.`,
		Example: `  station batch open 2026-47 --devices 500 --job job.toml --operator anna`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if devices < 0 {
				return fmt.Errorf("batch open: --devices %d: write how many devices it may have, or 0 for no limit", devices)
			}
			if err := record.CheckBatch(args[0]); err != nil {
				return fmt.Errorf("batch open: %w", err)
			}
			e := record.Entry{Kind: record.BatchOpened, Batch: args[0], Quota: devices, Operator: operator}
			if jobPath != "" {
				j, err := job.Load(jobPath, l.tokenKey)
				if err != nil {
					return err
				}
				e.Job, e.Revision, e.JobHash = j.Name, j.Revision, j.Digest()
			}
			return l.change(cmd.Context(), func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				e.Simulated = b.Simulated()
				_, err := b.Append(e)
				if errors.Is(err, record.ErrBatch) {
					return fmt.Errorf("batch open: %w", err)
				}
				return stationFault(err)
			})
		},
	}
	cmd.Flags().StringVar(&operator, "operator", "", "who opens it")
	cmd.Flags().StringVar(&jobPath, "job", "", "job `FILE`; the batch then takes devices of no other")
	cmd.Flags().IntVar(&devices, "devices", 0, "how many devices it may have; 0 is no limit")
	_ = cmd.MarkFlagRequired("operator")
	_ = cmd.MarkFlagRequired("devices")
	return cmd
}
