package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/station"
)

func ledgerCommand(o *options) *cobra.Command {
	l := &ledgerFlags{options: o}
	cmd := &cobra.Command{Use: "ledger", Short: "Read and prove the record of every device"}
	cmd.PersistentFlags().StringVar(&l.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	cmd.AddCommand(ledgerListCommand(l), ledgerShowCommand(l), ledgerVerifyCommand(l), ledgerReleaseCommand(l), ledgerBackupCommand(l),
		ledgerExportCommand(l), ledgerReportCommand(l), ledgerCheckpointCommand(l), ledgerProveCommand(l), ledgerCheckCommand(l), ledgerRecoverCommand(l))
	return cmd
}

type ledgerFlags struct {
	*options
	path string
}

// file is the ledger of --ledger or of the station file, and that file's ID,
// if there is one.
func (l *ledgerFlags) file() (path, id string, err error) {
	file, err := station.LoadFile(l.station)
	switch {
	case err == nil:
		return cmp.Or(l.path, file.Ledger), file.ID, nil
	case l.path != "":
		return l.path, "", nil
	}
	return "", "", err
}

// with opens the ledger, lets f use it and closes it. What f appends carries
// the ID of the station file, if there is one.
func (l *ledgerFlags) with(o ledger.Options, f func(*ledger.Ledger) error) error {
	path, id, err := l.file()
	if err != nil {
		return err
	}
	o.Station = id
	book, err := ledger.Open(path, o)
	if errors.Is(err, fs.ErrNotExist) {
		return stationFault(fmt.Errorf("there is no ledger %s yet; \"station hsm init\" or the first \"station run\" makes it", path))
	}
	if err != nil && !o.ReadOnly {
		err = station.LedgerFailure(err)
	}
	if err != nil {
		return stationFault(err)
	}
	defer book.Close()
	return f(book)
}

func (l *ledgerFlags) read(f func(*ledger.Ledger) error) error {
	return l.with(ledger.Options{ReadOnly: true}, f)
}

func ledgerListCommand(l *ledgerFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "List the devices",
		Example: `  station ledger list`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return l.read(func(b *ledger.Ledger) error { return stationFault(listLedger(cmd.OutOrStdout(), b)) })
		},
	}
}

func listLedger(out io.Writer, b *ledger.Ledger) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "MAC\tVERDICT\tCODE\tKEY ID\tJOB\tBATCH\tRUNS\tLAST SEEN")
	rows := 0
	for d, err := range b.Devices() {
		if err != nil {
			return err
		}
		verdict, code := d.State()
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", d.MAC, verdict, code, d.KeyID, d.Job, d.Batch, d.Runs, d.Updated.UTC().Format(time.RFC3339))
		if rows++; rows%1000 == 0 { // not all of a large ledger in memory
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

func ledgerShowCommand(l *ledgerFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "show MAC",
		Short:   "Show everything recorded about a device, as JSON lines",
		Example: `  station ledger show 24:0a:c4:01:02:03`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mac, err := chip.ParseMAC(args[0])
			if err != nil {
				return err
			}
			return l.read(func(b *ledger.Ledger) error {
				entries, err := b.History(mac)
				if err != nil {
					return stationFault(err)
				}
				if len(entries) == 0 {
					return fmt.Errorf("ledger show: no device %s; \"station ledger list\" lists them", mac)
				}
				enc := json.NewEncoder(cmd.OutOrStdout())
				for _, e := range entries {
					if err := enc.Encode(e); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func ledgerVerifyCommand(l *ledgerFlags) *cobra.Command {
	var keys, kept []string
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Reread the whole ledger and report every fault",
		Long: `Reread the whole ledger, beside a running line too, and report every fault: the
pages of the file, every entry's hash and place, the devices' chains, the
promises about keys, the indexes, the checkpoints and their signatures.

Against somebody who could write a whole ledger anew, with a key of his own, only
what is kept elsewhere helps: the public key of the station's token with --key,
and an old checkpoint with --checkpoint, which this ledger must continue.`,
		Example: `  station ledger verify
  station ledger verify --key station-signer.pem --checkpoint 2026-10.checkpoint`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			path, _, err := l.file()
			if err != nil {
				return err
			}
			var a ledger.Audit
			if a.Trusted, err = publicKeys(keys); err != nil {
				return err
			}
			for _, name := range kept {
				signed, err := keyfile.Read(name, keyfile.Proof)
				if err != nil {
					return fmt.Errorf("--checkpoint: %w", err)
				}
				a.Kept = append(a.Kept, signed)
			}
			return verifyWith(cmd.OutOrStdout(), &a, func(a *ledger.Audit) iter.Seq[ledger.Fault] { return ledger.Check(path, a) })
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key `FILE` (PEM) that must have signed the checkpoints; may be given again (default: the keys that the ledger names)")
	cmd.Flags().StringArrayVar(&kept, "checkpoint", nil, "checkpoint `FILE` that was kept elsewhere; may be given again")
	return cmd
}

// verifyLedger reports every fault that the check finds.
func verifyLedger(out io.Writer, check func(*ledger.Audit) iter.Seq[ledger.Fault]) error {
	return verifyWith(out, new(ledger.Audit), check)
}

func verifyWith(out io.Writer, audit *ledger.Audit, check func(*ledger.Audit) iter.Seq[ledger.Fault]) error {
	told := newProgress("rereading the ledger", "entries")
	defer told.end()
	audit.Progress, audit.Pages = told.tell, func(done, total uint64) { told.tellOf(done, total, "pages") }
	faults := 0
	for f := range check(audit) {
		faults++
		told.end()
		fmt.Fprintf(out, "FAULT %s\n", f)
	}
	if faults > 0 {
		return stationFault(fmt.Errorf("ledger: %d faults; keep this file as it is and restore the last backup", faults))
	}
	told.end()
	fmt.Fprintf(out, "ledger is whole: %d entries, %d devices, root %s\n", audit.Size, audit.Devices, audit.Root)
	switch by := len(audit.Trusted); {
	case audit.Checkpoints == 0:
	case by == 0:
		fmt.Fprintf(out, "checkpoints: %d, signed by keys that the ledger itself names; --key checks with yours\n", audit.Checkpoints)
	default:
		fmt.Fprintf(out, "checkpoints: %d, signed by your keys; %d kept elsewhere are continued\n", audit.Checkpoints, len(audit.Kept))
	}
	if audit.Stale {
		fmt.Fprintln(out, "its indexes are of another version or were not made to the end: the next command that writes makes them anew from the log")
	}
	return nil
}

func ledgerReleaseCommand(l *ledgerFlags) *cobra.Command {
	var operator, reason string
	cmd := &cobra.Command{
		Use:   "release MAC",
		Short: "Let a device that was set aside go on",
		Long: `Let a device that was set aside (SCRAP or QUARANTINE) be tried again. Who did
it and why stays in the ledger. The chip is judged anew when it is put back.`,
		Example: `  station ledger release 24:0a:c4:01:02:03 --operator anna --reason "wrong job file"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mac, err := chip.ParseMAC(args[0])
			if err != nil {
				return err
			}
			return l.change(func(b *ledger.Ledger) error {
				d, known, err := b.Device(mac)
				switch {
				case err != nil:
					return stationFault(err)
				case !known || !d.SetAside:
					return fmt.Errorf("ledger release: %s is not set aside", mac)
				}
				_, err = b.Append(record.Entry{Kind: record.Released, MAC: mac, Operator: operator, Message: reason,
					Software: version(), Simulated: d.Simulated})
				return stationFault(err)
			})
		},
	}
	cmd.Flags().StringVar(&operator, "operator", "", "who decides")
	cmd.Flags().StringVar(&reason, "reason", "", "why")
	_ = cmd.MarkFlagRequired("operator")
	_ = cmd.MarkFlagRequired("reason")
	return cmd
}
