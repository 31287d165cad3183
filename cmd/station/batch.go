package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"station/internal/job"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/record"
	qa "station/internal/report"
)

func batchCommand(o *options) *cobra.Command {
	l := &ledgerFlags{options: o}
	cmd := &cobra.Command{Use: "batch", Short: "Open, show, amend and close batches; certify what they came to"}
	cmd.PersistentFlags().StringVar(&l.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	cmd.AddCommand(batchOpenCommand(l), batchShowCommand(l), batchAmendCommand(l), batchCloseCommand(l))
	return cmd
}

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
				j, err := job.Load(jobPath)
				if err != nil {
					return err
				}
				e.Job, e.Revision, e.JobHash = j.Name, j.Revision, j.Digest()
			}
			return l.change(func(b *ledger.Ledger) error {
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
		RunE: func(_ *cobra.Command, args []string) error {
			if quota < 0 {
				return fmt.Errorf("batch amend: --quota %d: write how many devices it may have, or 0 for no limit", quota)
			}
			return l.change(func(b *ledger.Ledger) error {
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

func batchShowCommand(l *ledgerFlags) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "show [BATCH]",
		Short: "List the batches, or show the account of one",
		Example: `  station batch show
  station batch show 2026-47 --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return l.read(func(b *ledger.Ledger) error {
				if len(args) == 0 {
					return stationFault(listBatches(cmd.OutOrStdout(), b))
				}
				account, err := accountOf(b, args[0])
				if err != nil {
					return err
				}
				if asJSON {
					enc := json.NewEncoder(cmd.OutOrStdout())
					enc.SetIndent("", "  ")
					return enc.Encode(account)
				}
				if b.Simulated() {
					fmt.Fprintln(cmd.OutOrStdout(), "SIMULATION")
				}
				printAccount(cmd.OutOrStdout(), account)
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "as JSON")
	return cmd
}

func listBatches(out io.Writer, b *ledger.Ledger) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BATCH\tSTATE\tORDERED\tNUMBERS\tREFUSED\tSTARTED\tPASSED\tSCRAPPED\tQUARANTINED")
	for lot, err := range b.Lots() {
		if err != nil {
			return err
		}
		name, is := strings.CutPrefix(lot.Name, "batch:")
		if !is {
			continue
		}
		state := "not opened"
		switch {
		case !lot.Closed.IsZero():
			state = "closed " + lot.Closed.UTC().Format(time.RFC3339)
		case !lot.Opened.IsZero():
			state = "open"
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", name, state, lot.Quota, lot.Reserved, lot.Refused, lot.Devices, lot.Passed, lot.Scrapped, lot.Quarantined)
	}
	return w.Flush()
}

// accountOf counts the batch as it is now.
func accountOf(b *ledger.Ledger, batch string) (*qa.Balance, error) {
	size, _, err := b.Head()
	if err != nil {
		return nil, stationFault(err)
	}
	told := newProgress("counting the batch", "entries")
	defer told.end()
	account, err := qa.BalanceOf(b, size, batch, told.tell)
	if err != nil && !errors.Is(err, qa.ErrNoBatch) {
		err = stationFault(err)
	}
	return account, err
}

func printAccount(out io.Writer, b *qa.Balance) {
	for _, line := range b.Lines() {
		fmt.Fprintf(out, "%-12s %s\n", line[0], line[1])
	}
}

// closeFlags are those of batch close.
type closeFlags struct {
	*ledgerFlags
	signerFlags
	operator, anyway string
	out              output
}

func batchCloseCommand(l *ledgerFlags) *cobra.Command {
	c := &closeFlags{ledgerFlags: l, signerFlags: signerFlags{tokenFlags: tokenFlags{options: l.options}}}
	cmd := &cobra.Command{
		Use:   "close BATCH",
		Short: "Close a batch and write its signed certificate",
		Long: `Count the batch anew, close it, and write a certificate that the token signs. A
closed batch takes no more devices, and its account stays what it was, whatever
happens to its devices later. One that does not balance is closed only
with --anyway, and the certificate says what does not balance and why it was
closed. Closing a closed batch writes its certificate again.

"station ledger check" checks the certificate, offline.`,
		Example: `  station batch close 2026-47 --operator anna --out 2026-47.certificate`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if c.out.path == "" {
				if err := record.CheckBatch(args[0]); err != nil { // of an older time
					return fmt.Errorf("batch close: %w for a file; name one with --out", err)
				}
				c.out.path = args[0] + ".certificate"
			}
			if err := keyfile.Check(c.out.path, c.out.overwrite); err != nil {
				return fmt.Errorf("batch close: %w", err)
			}
			return c.run(cmd, args[0])
		},
	}
	c.signerFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&c.operator, "operator", "", "who closes it")
	f.StringVar(&c.anyway, "anyway", "", "`REASON` to close a batch that does not balance")
	c.out.add(cmd, "out", "", "`FILE` of the certificate (default: BATCH.certificate)")
	_ = cmd.MarkFlagRequired("operator")
	return cmd
}

func (c *closeFlags) run(cmd *cobra.Command, batch string) error {
	return c.real(func(b *ledger.Ledger) error {
		account, err := accountOf(b, batch)
		if err != nil {
			return err
		}
		if account.Opened.IsZero() {
			return fmt.Errorf("batch close: %s was never opened", batch)
		}
		if !account.Balanced() && c.anyway == "" {
			printAccount(cmd.OutOrStdout(), account)
			return &codedError{exitFailed, fmt.Errorf("batch close: %s does not balance; put it right, or close it --anyway \"why\"", batch)}
		}
		if err := mustBeWhole(b); err != nil {
			return err
		}
		// The token first: nothing is closed that cannot be certified.
		token, key, err := c.signerFlags.open(cmd.Context())
		if err != nil {
			return err
		}
		defer token.Close()
		if account.Closed.IsZero() {
			_, err := b.Append(record.Entry{Kind: record.BatchClosed, Batch: batch, Operator: c.operator, Message: c.anyway})
			if errors.Is(err, record.ErrBatch) {
				return fmt.Errorf("batch close: %w", err)
			}
			if err != nil {
				return stationFault(err)
			}
			if b.Guest() {
				warning("a line has this ledger open; if it makes this batch, it halts at its next device (E-BATCH)")
			}
		}
		_, station, err := c.file()
		if err != nil {
			return err
		}
		cert, err := qa.Certify(b, key, batch, qa.Certificate{Issued: time.Now(), Station: station, Operator: c.operator,
			Reason: c.anyway, Software: version(), Token: token.URI()})
		if err != nil {
			return stationFault(err)
		}
		data, err := cert.Marshal()
		if err == nil {
			err = c.out.bytes(data)
		}
		if err != nil {
			return stationFault(err)
		}
		fmt.Fprint(cmd.OutOrStdout(), cert.Text())
		fmt.Fprintf(stderr, "wrote %s\n", c.out.path)
		return nil
	})
}
