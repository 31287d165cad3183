package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"station/internal/efuse"
	"station/internal/filefault"
	"station/internal/firmware"
	"station/internal/job"
	"station/internal/plain"
)

func jobCheckCommand(o *options) *cobra.Command {
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "check FILE",
		Short: "Check a job and everything it names; show what it writes and burns",
		Long: `Check a job file and every file that it names, and report all faults at once.
Then show the images with their versions and digests, the settings, and the burn
plan, fuse by fuse, with the digest of all of it that a person approves.`,
		Example: `  station job check job.toml
  station job check job.toml --json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			job, err := job.Load(args[0], o.tokenKey)
			if *asJSON {
				return errors.Join(answer(cmd.OutOrStdout(), jobOf(args[0], job, err)), err)
			}
			if err != nil {
				return err
			}
			return printJob(cmd.OutOrStdout(), job)
		},
	}
	asJSON = jsonFlag(cmd)
	return cmd
}

// jobAnswer is a job as it would be done; of one with faults, these alone.
type jobAnswer struct {
	File       string            `json:"file"`
	OK         bool              `json:"ok"`
	Faults     []filefault.Fault `json:"faults,omitempty"`
	Name       string            `json:"name,omitempty"`
	Revision   string            `json:"revision,omitempty"`
	Mode       string            `json:"mode,omitempty"`
	Regions    []firmware.Region `json:"regions,omitempty"` // written to flash
	Settings   []string          `json:"settings,omitempty"`
	Burns      []string          `json:"burns,omitempty"` // in their order
	Warnings   []string          `json:"warnings,omitempty"`
	Digest     string            `json:"digest,omitempty"`
	PlanDigest string            `json:"planDigest,omitempty"` // what a person approves
}

func jobOf(path string, j *job.Job, err error) jobAnswer {
	if err != nil {
		return jobAnswer{File: path, Faults: faultsOf(err)}
	}
	return jobAnswer{File: path, OK: true, Name: j.Name, Revision: j.Revision, Mode: string(j.Security.Mode), Regions: j.Regions,
		Settings: j.SettingLines(), Burns: j.Plan.Lines(efuse.Image{}), Warnings: j.Warnings, Digest: j.Digest(), PlanDigest: j.PlanDigest()}
}

// faultsOf are the faults of a file, each with its place where it has one.
func faultsOf(err error) (list []filefault.Fault) {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range all.Unwrap() {
			list = append(list, faultsOf(one)...)
		}
		return list
	}
	if e, ok := errors.AsType[*filefault.Fault](err); ok {
		return []filefault.Fault{*e}
	}
	return []filefault.Fault{{Text: err.Error()}}
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
