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
	var table, format, devices string
	var bom bool
	var filter filterFlags
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
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(56 << 20))
			x := qa.Export{File: filepath.Base(file.out.path), Format: qa.Format(format), BOM: bom, Software: version(), Made: time.Now()}
			if x.Format == "" {
				x.Format = qa.Format(cmp.Or(strings.TrimPrefix(filepath.Ext(file.out.path), "."), string(qa.CSV)))
			}
			if !slices.Contains(qa.Formats, x.Format) {
				return fmt.Errorf("export: format %q is not known; write csv, jsonl or xlsx", x.Format)
			}
			if bom && x.Format != qa.CSV {
				return fmt.Errorf("export: --bom is for csv")
			}
			var err error
			if x.Table, err = qa.FindTable(table); err != nil {
				return fmt.Errorf("export: %w", err)
			}
			if x.Filter, err = filter.filter(); err != nil {
				return fmt.Errorf("export: %w", err)
			}
			if x.Filter.MAC, err = l.macs(devices); err != nil {
				return fmt.Errorf("export: --mac: %w", err)
			}
			told := newProgress("exporting", "rows")
			x.Progress = func(rows uint64) { told.tell(rows, 0) }
			out := cmd.OutOrStdout()
			if x.Format == qa.XLSX {
				out = plain.Raw(out)
			}
			var found qa.ExportProof
			err = file.write(cmd.Context(), out, cmd.ErrOrStderr(), told, func(w io.Writer, head *qa.Head) (*qa.ExportProof, error) {
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
	filter.addTimes(cmd)
	f := cmd.Flags()
	f.StringVar(&table, "table", qa.Tables[0].Name, "devices or entries")
	f.StringVar(&format, "format", "", "csv, jsonl or xlsx (default: as --out ends, or csv)")
	f.BoolVar(&bom, "bom", false, "begin a CSV with the mark of UTF-8, without which Excel misreads letters beyond ASCII")
	f.StringVar(&filter.verdict, "verdict", "", "PASS, RETRY, SCRAP, QUARANTINE, STATION or BEGUN")
	f.StringVar(&devices, "mac", "", "one device by its MAC, serial number or ID (`NAME`), or a range MAC..MAC")
	f.StringVar(&filter.key, "key", "", "key `ID`, a range ID..ID, or policy:label for all of its keys")
	f.BoolVar(&filter.simulated, "simulated", false, "virtual chips too, marked SIMULATION")
	file.add(cmd)
	return cmd
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
