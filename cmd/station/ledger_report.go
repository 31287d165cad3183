package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	qa "station/internal/report"
)

func ledgerReportCommand(l *ledgerFlags) *cobra.Command {
	var title string
	var limit int
	var filter filterFlags
	file := &fileFlags{ledgerFlags: l, signerFlags: signerFlags{tokenFlags: tokenFlags{options: l.options}}}
	cmd := &cobra.Command{
		Use:   "report",
		Short: "Write a page about a batch, a day or a range: yield, failures, times, slots, devices",
		Long: `Write one HTML page that needs nothing else and prints on A4: devices by verdict,
first-pass yield, failures by code, times, throughput, slots, and every device
with its key ID, firmware and fuses. It needs no token and does not block a line
that runs.`,
		Example: `  station ledger report --batch 2026-47 --out batch.html
  station ledger report --day 2026-11-20 --out day.html
  station ledger report --from 2026-11-01 --to 2026-11-30 --sign --out november.html`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			f, err := filter.filter()
			if err != nil {
				return fmt.Errorf("report: %w", err)
			}
			if limit < 0 {
				return fmt.Errorf("report: --limit %d: write a number of devices, or 0 for all", limit)
			}
			r := qa.Report{File: filepath.Base(file.out.path), Title: title, Filter: f, Software: version(), Made: time.Now(), Zone: time.Local, Limit: limit}
			if r.Title == "" {
				r.Title = "Report of " + cmp.Or(filter.name(), "the whole ledger")
			}
			bar := newProgress("reading the ledger", "entries")
			r.Progress = bar.tell
			return file.write(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), bar, r.Write)
		},
	}
	filter.addTimes(cmd)
	cmd.Flags().StringVar(&title, "title", "", "title of the page")
	cmd.Flags().IntVar(&limit, "limit", 2000, "devices listed at most; 0 is all")
	file.add(cmd)
	return cmd
}
