package main

import (
	"cmp"
	"context"
	"crypto"
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
	"station/internal/record"
	qa "station/internal/report"
)

// filterFlags say which part of the ledger is wanted.
type filterFlags struct {
	from, to, day       string
	batch, job, verdict string
	mac, key            string
}

// addTimes adds what an export and a report share.
func (f *filterFlags) addTimes(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "first `TIME`: 2026-11-20, 2026-11-20T15:04 or RFC 3339")
	flags.StringVar(&f.to, "to", "", "last `TIME`; a day is included")
	flags.StringVar(&f.day, "day", "", "one `DAY`")
	flags.StringVar(&f.batch, "batch", "", "`ID` of a batch")
	flags.StringVar(&f.job, "job", "", "`NAME` of a product")
	cmd.MarkFlagsMutuallyExclusive("day", "from")
	cmd.MarkFlagsMutuallyExclusive("day", "to")
}

func (f *filterFlags) filter() (qa.Filter, error) {
	out := qa.Filter{Batch: f.batch, Job: f.job, Verdict: record.Verdict(strings.ToUpper(f.verdict))}
	known := []record.Verdict{"", record.Pass, record.Retry, record.Scrap, record.Quarantine, record.Station, record.Begun}
	if !slices.Contains(known, out.Verdict) {
		return out, fmt.Errorf("--verdict %q: write one of %v", f.verdict, known[1:])
	}
	if err := out.SetTimes(cmp.Or(f.from, f.day), cmp.Or(f.to, f.day), time.Local); err != nil {
		return out, err
	}
	var err error
	if f.mac != "" {
		if out.MAC, err = qa.ParseMACs(f.mac); err != nil {
			return out, fmt.Errorf("--mac: %w", err)
		}
	}
	if f.key != "" {
		if out.Key, err = qa.ParseKeys(f.key); err != nil {
			return out, fmt.Errorf("--key: %w", err)
		}
	}
	return out, nil
}

// fileFlags say where a file of the ledger goes, and who vouches for it.
type fileFlags struct {
	*ledgerFlags
	signerFlags
	out  output
	sign bool
}

func (f *fileFlags) add(cmd *cobra.Command) {
	f.signerFlags.add(cmd)
	f.out.add(cmd, "out", "", "`FILE` to write; FILE.proof is written beside it (default: standard output, without a proof)")
	cmd.Flags().BoolVar(&f.sign, "sign", false, "let the token sign a checkpoint and the proof")
}

// write writes the file and its proof. The ledger is only read, and the token
// asked only with --sign.
func (f *fileFlags) write(ctx context.Context, out, person io.Writer, told *progress, make func(io.Writer, *qa.Head) (*qa.ExportProof, error)) error {
	if f.sign && f.out.path == "" {
		return fmt.Errorf("--sign needs --out FILE: the signature goes into FILE.proof")
	}
	defer told.end()
	return f.read(func(b *ledger.Ledger) error {
		var key crypto.Signer
		if f.sign {
			if b.Simulated() {
				return qa.ErrSimulated
			}
			if err := mustBeWhole(b); err != nil {
				return err
			}
			token, found, err := f.signerFlags.open(ctx)
			if err != nil {
				return err
			}
			defer token.Close()
			key = found
		}
		head, err := qa.HeadOf(b, key)
		if err != nil {
			return stationFault(err)
		}
		if f.out.path == "" {
			_, err := make(out, head)
			return stationFault(err)
		}
		var proof *qa.ExportProof
		err = f.out.write(func(w io.Writer) (err error) {
			proof, err = make(w, head)
			told.end()
			return err
		})
		if err == nil && key != nil {
			err = proof.Sign(key)
		}
		if err != nil {
			return stationFault(err)
		}
		data, err := proof.Marshal()
		if err == nil {
			err = f.out.beside(".proof").bytes(data)
		}
		if err != nil {
			return stationFault(err)
		}
		fmt.Fprintf(person, "wrote %s (%d rows, %s) and %s.proof\n", f.out.path, proof.Rows, proof.Filter, f.out.path)
		return nil
	})
}

func ledgerExportCommand(l *ledgerFlags) *cobra.Command {
	var table, format string
	var filter filterFlags
	file := &fileFlags{ledgerFlags: l, signerFlags: signerFlags{tokenFlags: tokenFlags{options: l.options}}}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write devices or entries as CSV, JSON lines or XLSX",
		Long: `Write the table of devices or of entries as CSV, JSON lines or XLSX. It needs no
token, does not block a line that runs, and never holds key material. Columns
and the proof beside the file are described in docs/export.md.`,
		Example: `  station ledger export --out devices.csv
  station ledger export --batch 2026-47 --verdict PASS --out passed.xlsx
  station ledger export --table entries --day 2026-11-20 --format jsonl`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			// Rows are made and forgotten by the thousand: a larger heap saves a
			// third of the time, and a limit keeps it small.
			defer debug.SetGCPercent(debug.SetGCPercent(400))
			defer debug.SetMemoryLimit(debug.SetMemoryLimit(64 << 20))
			x := qa.Export{File: filepath.Base(file.out.path), Format: qa.Format(format), Software: version(), Made: time.Now()}
			if x.Format == "" {
				x.Format = qa.Format(cmp.Or(strings.TrimPrefix(filepath.Ext(file.out.path), "."), string(qa.CSV)))
			}
			if !slices.Contains(qa.Formats, x.Format) {
				return fmt.Errorf("export: format %q is not known; write csv, jsonl or xlsx", x.Format)
			}
			var err error
			if x.Table, err = qa.FindTable(table); err != nil {
				return fmt.Errorf("export: %w", err)
			}
			if x.Filter, err = filter.filter(); err != nil {
				return fmt.Errorf("export: %w", err)
			}
			told := newProgress("exporting", "rows")
			x.Progress = func(rows uint64) { told.tell(rows, 0) }
			out := cmd.OutOrStdout()
			if x.Format == qa.XLSX {
				out = plain.Raw(out)
			}
			return file.write(cmd.Context(), out, cmd.ErrOrStderr(), told, x.Write)
		},
	}
	filter.addTimes(cmd)
	f := cmd.Flags()
	f.StringVar(&table, "table", qa.Tables[0].Name, "devices or entries")
	f.StringVar(&format, "format", "", "csv, jsonl or xlsx (default: as --out ends, or csv)")
	f.StringVar(&filter.verdict, "verdict", "", "PASS, RETRY, SCRAP, QUARANTINE, STATION or BEGUN")
	f.StringVar(&filter.mac, "mac", "", "`MAC`, or a range MAC..MAC")
	f.StringVar(&filter.key, "key", "", "key `ID`, a range ID..ID, or policy:label for all of its keys")
	file.add(cmd)
	return cmd
}

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
			told := newProgress("reading the ledger", "entries")
			r.Progress = told.tell
			return file.write(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), told, r.Write)
		},
	}
	filter.addTimes(cmd)
	cmd.Flags().StringVar(&title, "title", "", "title of the page")
	cmd.Flags().IntVar(&limit, "limit", 2000, "devices listed at most; 0 is all")
	file.add(cmd)
	return cmd
}

// name is the filter in the words of who asked.
func (f *filterFlags) name() string {
	var parts []string
	for _, p := range [][2]string{{"batch ", f.batch}, {"job ", f.job}, {"", f.day}, {"from ", f.from}, {"to ", f.to}} {
		if p[1] != "" {
			parts = append(parts, p[0]+p[1])
		}
	}
	return strings.Join(parts, ", ")
}
