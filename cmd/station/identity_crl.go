package main

import (
	"encoding/pem"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/identity"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/station"
)

func identityCrlCommand(f *identityFlags) *cobra.Command {
	var ca, label string
	var days int
	var out output
	cmd := &cobra.Command{
		Use:   "crl",
		Short: "Write the list of revoked certificates, signed by the CA in the token",
		Long: `Write the revocation list (CRL) of a CA: every certificate that its key signed
and that was revoked ("station identity revoke"), also under an earlier
certificate of the CA. Give servers a new one before it is over, --days,
also where nothing was revoked. Its number is that of the ledger's entries, so
that a newer list has a higher one.`,
		Example: `  station identity crl --ca line-ca.pem --out line.crl`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if days < 1 || days > 36500 {
				return fmt.Errorf("identity crl: --days %d: write for how many days the list is good, 1 to 36500", days)
			}
			cert, err := keyfile.ReadCertificate(ca)
			if err != nil {
				return err
			}
			return f.with(func(token *hsm.Token) error {
				key, err := token.CA(cmd.Context(), label)
				if err != nil {
					return err
				}
				if err := identity.CheckRevoker(cert, key.Public()); err != nil {
					return &codedError{exitUsage, fmt.Errorf("%s: %w", ca, err)}
				}
				return f.ledger.read(func(b *ledger.Ledger) error {
					if err := mustBeWhole(b); err != nil { // what it says is signed
						return err
					}
					size, _, err := b.Head()
					if err != nil {
						return stationFault(err)
					}
					der, err := station.CRL(b.Devices(), int64(size), days, cert, key)
					if err != nil {
						return err
					}
					return out.print(cmd.OutOrStdout(), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
				})
			})
		},
	}
	c := cmd.Flags()
	c.StringVar(&ca, "ca", "", "PEM `FILE` of the CA's certificate")
	c.StringVar(&label, "label", hsm.CA.Label(), "`LABEL` of its key in the token")
	c.IntVar(&days, "days", 30, "how long the list is good")
	out.add(cmd, "out", "", "`FILE` to write (default: standard output)")
	_ = cmd.MarkFlagRequired("ca")
	return cmd
}
