package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	qa "station/internal/report"
)

func batchPackageCommand(l *ledgerFlags) *cobra.Command {
	c := &closeFlags{ledgerFlags: l, signerFlags: signerFlags{tokenFlags: tokenFlags{options: l.options}}}
	cmd := &cobra.Command{
		Use:   "package BATCH",
		Short: "Write all that a closed batch is handed over with, as one signed file",
		Long: `Write a zip file with the batch's closing certificate, the table of its devices, for
each device the proof of its entries (images, keys' IDs, fuses as read back), the
digests of the bills of materials of their firmware ("release add --sbom"), and
the public key that signed. The token signs the list of all files.

"station ledger check" checks the file offline: whoever has the public key needs
neither ledger nor token.`,
		Example: `  station batch package 2026-47 --operator anna --out 2026-47.zip
  station ledger check 2026-47.zip --key station-signer.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.fileFor(args[0], ".zip"); err != nil {
				return fmt.Errorf("batch package: %w", err)
			}
			return c.pack(cmd, args[0])
		},
	}
	c.signerFlags.add(cmd)
	f := cmd.Flags()
	f.StringVar(&c.operator, "operator", "", "who hands it over")
	c.out.add(cmd, "out", "", "`FILE` to write (default: BATCH.zip)")
	_ = cmd.MarkFlagRequired("operator")
	return cmd
}

func (c *closeFlags) pack(cmd *cobra.Command, batch string) error {
	return c.real(cmd.Context(), func(b *ledger.Ledger) error {
		token, key, err := c.signerFlags.open(cmd.Context())
		if err != nil {
			return err
		}
		defer token.Close()
		account, err := accountOf(b, batch)
		if err != nil {
			return err
		}
		if account.Closed.IsZero() {
			return &codedError{exitFailed, fmt.Errorf("batch package: %s is not closed; \"station batch close\" closes it", batch)}
		}
		if err := mustBeWhole(b); err != nil {
			return err
		}
		releases, err := qa.ReleasesOf(b)
		if err != nil {
			return stationFault(err)
		}
		known, err := knownReleases(releasesBeside(b.Path()))
		if err != nil {
			return stationFault(err)
		}
		withFilled(releases, known)
		bills, err := qa.BillsOf(b, batch, releases)
		if err != nil {
			return stationFault(err)
		}
		cert, err := c.certify(b, key, batch, token.URI())
		if err != nil {
			return err
		}
		p, devices := qa.Package{Certificate: cert, Made: time.Now(), Software: version(), Bills: bills}, 0
		err = c.out.write(func(w io.Writer) (err error) {
			devices, err = p.Write(w, b, key)
			return err
		})
		if err != nil {
			return notTrue(err)
		}
		plain.Fprintf(cmd.ErrOrStderr(), "wrote %s (%s, %s of materials)\n", c.out.path, plain.Count(devices, "device"), plain.Count(len(bills), "bill"))
		return nil
	})
}
