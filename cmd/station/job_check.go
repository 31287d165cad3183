package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/efuse"
	"station/internal/job"
	"station/internal/plain"
)

func jobCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "check FILE",
		Short: "Check a job and everything it names; show what it writes and burns",
		Long: `Check a job file and every file that it names, and report all faults at once.
Then show the images with their versions and digests, the settings, and the burn
plan, fuse by fuse, with the digest of all of it that a person approves.`,
		Example: `  station job check job.toml`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := job.Load(args[0])
			if err != nil {
				return err
			}
			return printJob(cmd.OutOrStdout(), job)
		},
	}
}

func printJob(out io.Writer, job *job.Job) error {
	plain.Fprintf(out, "%s revision %s, mode %s\n\nwritten to flash:\n", job.Name, job.Revision, job.Security.Mode)
	w := tabwriter.NewWriter(out, 2, 0, 2, ' ', 0)
	for _, r := range job.Regions {
		how := "plain"
		if r.Encrypted {
			how = "encrypted"
		}
		plain.Fprintf(w, "  %#08x\t%7d bytes\t%s\t%s\t%s\t%s\n", r.Address, r.Size, how, r.Name, r.Version, r.SHA256)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(out, "\nsettings:")
	for _, s := range job.SettingLines() {
		plain.Fprintf(out, "  %s\n", s)
	}
	plain.Fprintf(out, "\nburned, for ever, in this order:\n")
	for _, line := range job.Plan.Lines(efuse.Image{}) {
		plain.Fprintf(out, "  %s\n", line)
	}
	for _, warning := range job.Warnings {
		plain.Fprintf(out, "\nWARNING: %s\n", warning)
	}
	plain.Fprintf(out, "\njob digest   %s\nplan digest  %s\n\napprove it once for this station: station run --job %s --operator NAME --approve %s\n", job.Digest(), job.PlanDigest(), job.Path, job.PlanDigest())
	return nil
}
