package main

import (
	"cmp"
	"fmt"
	"io"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	qa "station/internal/report"
)

func ledgerExportCommand(l *ledgerFlags) *cobra.Command {
	var of exportFlags
	var devices string
	file := &fileFlags{ledgerFlags: l, signerFlags: signerFlags{tokenFlags: tokenFlags{options: l.options}}, held: true}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write devices or entries as CSV, JSON lines or XLSX",
		Long: `Write the table of devices or of entries as CSV, JSON lines or XLSX. It needs no
token, does not block a line that runs, and never holds key material. Where nothing
is as wanted the exit code is 1. Columns and the proof beside the file are described
in docs/export.md.`,
		Example: `  station ledger export --out devices.csv
  station ledger export --batch 2026-47 --verdict PASS --out passed.xlsx
  station ledger export --table entries --day 2026-11-20 --format jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Rows are made and forgotten by the thousand: a larger heap saves a
			// third of the time, and a limit keeps it small.
			defer debug.SetGCPercent(debug.SetGCPercent(300))
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(48 << 20))
			x, err := of.export(file.out.path)
			if err != nil {
				return fmt.Errorf("export: %w", err)
			}
			if x.Filter.MAC, err = l.macs(devices); err != nil {
				return fmt.Errorf("export: --mac: %w", err)
			}
			x.Unproved = file.out.path == ""
			bar := newProgress("exporting", "rows")
			x.Progress = func(rows uint64) { bar.tell(rows, 0) }
			out := cmd.OutOrStdout()
			if x.Format == qa.XLSX {
				out = plain.Raw(out)
			}
			var found qa.ExportProof
			err = file.write(cmd.Context(), out, cmd.ErrOrStderr(), bar, func(w io.Writer, head *qa.Head) (*qa.ExportProof, error) {
				proof, err := x.Write(w, head)
				if err == nil {
					found = *proof
				}
				return proof, err
			})
			if err == nil && found.Rows == 0 {
				err = &codedError{exitFailed, fmt.Errorf("export: the ledger has no %s (%s): what was written has the columns alone%s", x.Table.Name, found.Filter, leftOut(x.Filter))}
			}
			return err
		},
	}
	of.add(cmd)
	cmd.Flags().StringVar(&devices, "mac", "", "one device by its MAC, serial number or ID (`NAME`), or a range MAC..MAC")
	cmd.Flags().BoolVar(&of.simulated, "simulated", false, "virtual chips too, marked SIMULATION")
	file.add(cmd)
	return cmd
}

// exportFlags say what is exported, and in which form.
type exportFlags struct {
	filterFlags
	table, format string
	bom           bool
}

func (e *exportFlags) add(cmd *cobra.Command) {
	e.addTimes(cmd)
	f := cmd.Flags()
	f.StringVar(&e.table, "table", qa.Tables[0].Name, "devices or entries")
	f.StringVar(&e.format, "format", "", "csv, jsonl or xlsx (default: as --out ends, or csv)")
	f.BoolVar(&e.bom, "bom", false, "begin a CSV with the mark of UTF-8, without which Excel misreads letters beyond ASCII")
	f.StringVar(&e.verdict, "verdict", "", "PASS, RETRY, SCRAP, QUARANTINE, STATION or BEGUN")
	f.StringVar(&e.key, "key", "", "key `ID`, a range ID..ID, or policy:label for all of its keys")
}

// export is what the flags say of an export into a file.
func (e *exportFlags) export(out string) (x qa.Export, err error) {
	x = qa.Export{File: filepath.Base(out), Format: qa.Format(e.format), BOM: e.bom, Software: version(), Made: time.Now()}
	if x.Format == "" {
		x.Format = qa.Format(cmp.Or(strings.TrimPrefix(filepath.Ext(out), "."), string(qa.CSV)))
	}
	if !slices.Contains(qa.Formats, x.Format) {
		return x, fmt.Errorf("format %q is not known; write csv, jsonl or xlsx", x.Format)
	}
	if e.bom && x.Format != qa.CSV {
		return x, fmt.Errorf("--bom is for csv")
	}
	if x.Table, err = qa.FindTable(e.table); err == nil {
		x.Filter, err = e.filter()
	}
	return x, err
}

// leftOut says what an export has only for the asking.
func leftOut(f qa.Filter) string {
	if f.Simulated {
		return ""
	}
	return "; virtual chips stand there with --simulated"
}

// macs is the device of a name, or a range of MACs.
func (l *ledgerFlags) macs(text string) (qa.Range, error) {
	if text == "" {
		return qa.Range{}, nil
	}
	if strings.Contains(text, "..") {
		return qa.ParseMACs(text)
	}
	var mac string
	err := l.read(func(b *ledger.Ledger) error {
		d, err := namedDevice(b, text)
		mac = d.MAC.String()
		return err
	})
	return qa.Range{From: mac, To: mac}, err
}
