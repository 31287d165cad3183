package main

import (
	"fmt"
	"io"
	"iter"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	qa "station/internal/report"
)

func ledgerListCommand(l *ledgerFlags) *cobra.Command {
	var f listFlags
	var asJSON *bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the devices",
		Example: `  station ledger list
  station ledger list --verdict quarantine --batch 2026-47
  station ledger list --identity revoked
  station ledger list --day 2026-11-29 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			wanted, err := f.wanted()
			if err != nil {
				return err
			}
			return l.read(func(b *ledger.Ledger) error {
				if err := mustAgree(b); err != nil {
					return err
				}
				if *asJSON {
					return stationFault(answerRows(cmd.OutOrStdout(), devicesAnswer{}, "devices", deviceRows(b, wanted)))
				}
				return stationFault(listLedger(cmd.OutOrStdout(), b, wanted))
			})
		},
	}
	f.addTimes(cmd)
	cmd.Flags().StringVar(&f.verdict, "verdict", "", "pass, retry, scrap, quarantine, station or begun")
	cmd.Flags().StringVar(&f.identity, "identity", "", "with, without, certified or revoked")
	asJSON = jsonFlag(cmd)
	return cmd
}

// listFlags say which devices are listed.
type listFlags struct {
	filterFlags
	identity string
}

// identityFilters are the answers to --identity.
var identityFilters = map[string]func(deviceRow) bool{
	"":          func(deviceRow) bool { return true },
	"with":      func(d deviceRow) bool { return d.ID != "" },
	"without":   func(d deviceRow) bool { return d.ID == "" },
	"certified": func(d deviceRow) bool { return d.Certificate != "" },
	"revoked":   func(d deviceRow) bool { return !d.Revoked.IsZero() },
}

// wanted tells which devices the flags want.
func (f *listFlags) wanted() (func(deviceRow) bool, error) {
	filter, err := f.filter()
	if err != nil {
		return nil, err
	}
	identity, known := identityFilters[f.identity]
	if !known {
		return nil, fmt.Errorf("--identity %q: write with, without, certified or revoked", f.identity)
	}
	return func(d deviceRow) bool { return d.wanted(filter) && identity(d) }, nil
}

type devicesAnswer struct {
	Devices []deviceRow `json:"devices"`
}

// deviceRow is a device as it is now; seen is when it was there last.
type deviceRow struct {
	MAC         chip.MAC       `json:"mac"`
	Chip        string         `json:"chip,omitempty"` // family, such as esp32c3
	Verdict     record.Verdict `json:"verdict"`
	Code        record.Code    `json:"code,omitempty"`
	Key         string         `json:"key,omitempty"` // ID of the key for flash encryption
	Serial      string         `json:"serial,omitempty"`
	ID          string         `json:"id,omitempty"` // of its identity, with its certificate's serial number
	Certificate string         `json:"certificate,omitempty"`
	Revoked     time.Time      `json:"revokedAt,omitzero"` // of a device without an identity too
	Job         string         `json:"job,omitempty"`
	Revision    string         `json:"revision,omitempty"`
	JobDigest   string         `json:"jobDigest,omitempty"`
	Batch       string         `json:"batch,omitempty"`
	Runs        int            `json:"runs"`
	Sealed      bool           `json:"sealed"`
	Seen        time.Time      `json:"seen"`
	Simulated   bool           `json:"simulated,omitempty"`
}

// deviceRows are the devices that are wanted, by their last day here.
func deviceRows(b *ledger.Ledger, wanted func(deviceRow) bool) iter.Seq2[deviceRow, error] {
	return func(yield func(deviceRow, error) bool) {
		for d, err := range b.Devices() {
			if err != nil {
				yield(deviceRow{}, err)
				return
			}
			verdict, code := d.State()
			row := deviceRow{MAC: d.MAC, Chip: d.Chip, Verdict: verdict, Code: code, Key: d.FlashKey().ID, Serial: d.Serial, Job: d.Job, Revision: d.Revision, JobDigest: d.JobHash,
				Batch: d.Batch, Runs: d.Runs, Sealed: d.Sealed, Seen: d.Updated.UTC(), Simulated: d.Simulated, Revoked: d.Revoked().UTC()}
			if i := d.Identity; i.Known() {
				row.ID, row.Certificate = i.ID, i.CertificateSerial()
			}
			if wanted(row) && !yield(row, nil) {
				return
			}
		}
	}
}

func (d deviceRow) wanted(f qa.Filter) bool {
	return (f.Verdict == "" || f.Verdict == d.Verdict) && (f.Job == "" || f.Job == d.Job) && (f.Batch == "" || f.Batch == d.Batch) &&
		(f.From.IsZero() || !d.Seen.Before(f.From)) && (f.To.IsZero() || d.Seen.Before(f.To))
}

func listLedger(out io.Writer, b *ledger.Ledger, wanted func(deviceRow) bool) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MAC\tCHIP\tVERDICT\tCODE\tKEY ID\tSERIAL\tID\tJOB\tBATCH\tRUNS\tLAST SEEN")
	rows := 0
	for d, err := range deviceRows(b, wanted) {
		if err != nil {
			return err
		}
		plain.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s%s\n", d.MAC, d.Chip, d.Verdict, d.Code, d.Key, d.Serial, revoked(d), d.Job, d.Batch, d.Runs, d.Seen.Format(time.RFC3339), mark(d.Simulated))
		if rows++; rows%1000 == 0 { // not all of a large ledger in memory
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// revoked is the ID of a device, and that it is revoked; one without an ID may be, too.
func revoked(d deviceRow) string {
	if d.Revoked.IsZero() {
		return d.ID
	}
	return strings.TrimSpace(d.ID + " (revoked)")
}

// mark says of a virtual chip that it is one.
func mark(simulated bool) string {
	if simulated {
		return "  SIMULATED"
	}
	return ""
}
