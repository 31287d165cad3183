package main

import (
	"crypto"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	qa "station/internal/report"
)

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
			if err := c.fileFor(args[0], ".certificate"); err != nil {
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

// fileFor is the file to write, named after the batch where --out names none.
func (c *closeFlags) fileFor(batch, ending string) error {
	if c.out.path == "" {
		if err := record.CheckBatch(batch); err != nil { // of an older time
			return fmt.Errorf("%w for a file; name one with --out", err)
		}
		c.out.path = batch + ending
	}
	return keyfile.Check(c.out.path, c.out.overwrite)
}

// run closes it and writes the certificate. Where a line has the ledger open and ends
// between the two, what is left is done without it: closing what is closed writes the
// certificate only.
func (c *closeFlags) run(cmd *cobra.Command, batch string) (err error) {
	for range 3 {
		if err = c.once(cmd, batch); !errors.Is(err, ledger.ErrHostEnded) {
			break
		}
	}
	return err
}

func (c *closeFlags) once(cmd *cobra.Command, batch string) error {
	return c.real(cmd.Context(), func(b *ledger.Ledger) error {
		account, err := accountOf(b, batch)
		if err != nil {
			return err
		}
		if account.Opened.IsZero() {
			return fmt.Errorf("batch close: %s was never opened", batch)
		}
		if err := mustBeWhole(b); err != nil {
			return err
		}
		if !account.Balanced() && c.anyway == "" {
			printAccount(cmd.OutOrStdout(), account)
			return &codedError{exitFailed, fmt.Errorf("batch close: %s does not balance; put it right, or close it --anyway \"why\"", batch)}
		}
		// The token first: nothing is closed that cannot be certified.
		token, key, err := c.signerFlags.open(cmd.Context())
		if err != nil {
			return err
		}
		defer token.Close()
		if account.Closed.IsZero() {
			err := c.closed(b, batch)
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
		cert, err := c.certify(b, key, batch, token.URI())
		if err != nil {
			return err
		}
		data, err := cert.Marshal()
		if err == nil {
			err = c.out.bytes(data)
		}
		if err != nil {
			return stationFault(err)
		}
		fmt.Fprint(cmd.OutOrStdout(), cert.Text())
		plain.Fprintf(stderr, "wrote %s\n", c.out.path)
		return nil
	})
}

// closed closes it, and gives the site the numbers back that are left.
func (c *closeFlags) closed(b *ledger.Ledger, batch string) error {
	list := []record.Entry{{Kind: record.BatchClosed, Batch: batch, Operator: c.operator, Message: c.anyway}}
	left, err := numbersLeft(b, batch)
	if err != nil {
		return err
	}
	if left != nil {
		left.Operator = c.operator
		list = append(list, *left)
	}
	_, err = b.AppendAll(list)
	return err
}

// certify counts the batch and signs what it comes to.
func (c *closeFlags) certify(b *ledger.Ledger, key crypto.Signer, batch, token string) (*qa.Certificate, error) {
	_, station, err := c.file()
	if err != nil {
		return nil, err
	}
	cert, err := qa.Certify(b, key, batch, qa.Certificate{Issued: time.Now(), Station: station, Operator: c.operator,
		Reason: c.anyway, Software: version(), Token: token})
	return cert, stationFault(err)
}
