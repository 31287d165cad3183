package main

import (
	"crypto/x509"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/hsm"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
	"station/internal/station"
)

type identityVerdict struct {
	identityAnswer
	OK     bool     `json:"ok"`
	Faults []string `json:"faults"`
}

func identityVerifyCommand(f *identityFlags) *cobra.Command {
	var asJSON *bool
	var cas []string
	cmd := &cobra.Command{
		Use:   "verify NAME",
		Short: "Hold a device's identity against token, ledger and CA",
		Long: `Verify the identity of a device: its ID and the key of its certificate come out
of the token again, the certificate is the recorded one, nobody has revoked it,
and with --ca its chain leads to a root among these files and is in date.`,
		Example: `  station identity verify 24:0a:c4:01:02:03 --ca line-ca.pem
  station identity verify 24:0a:c4:01:02:03 --ca line-ca.pem --ca root.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var trusted []*x509.Certificate
			for _, path := range cas {
				c, err := keyfile.ReadCertificate(path)
				if err != nil {
					return err
				}
				trusted = append(trusted, c)
			}
			d, a, err := f.known(args[0])
			if err != nil {
				return err
			}
			var faults []string
			err = f.with(func(token *hsm.Token) (err error) {
				faults, err = station.IdentityFaults(cmd.Context(), token, d, trusted)
				return err
			})
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if *asJSON {
				err = answer(out, identityVerdict{a, len(faults) == 0, append([]string{}, faults...)})
			} else {
				printIdentity(out, a)
				for _, fault := range faults {
					plain.Fprintf(out, "%-12s %s\n", "FAULT", fault)
				}
			}
			if err == nil && len(faults) > 0 {
				err = fmt.Errorf("identity: that of %s is not good", d.MAC)
			}
			return err
		},
	}
	cmd.Flags().StringArrayVar(&cas, "ca", nil, "PEM `FILE` of the CA's certificate, or of one that it leads to; more than one may")
	asJSON = jsonFlag(cmd)
	return cmd
}

// known is the device that an argument means, and what it is known by.
func (f *identityFlags) known(name string) (d record.Device, a identityAnswer, err error) {
	err = f.ledger.read(func(b *ledger.Ledger) (err error) {
		if d, err = namedDevice(b, name); err == nil {
			err = mustHaveIdentity(d)
		}
		if err == nil {
			a, err = identityOf(b, d)
		}
		return err
	})
	return d, a, err
}
