package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
)

func identityRevokeCommand(f *identityFlags) *cobra.Command {
	var operator, reason string
	cmd := &cobra.Command{
		Use:   "revoke NAME",
		Short: "Let a device in nowhere any more, for good",
		Long: `Revoke the identity of a device. NAME is its MAC, its serial number, its ID or the
serial number of its certificate. Who did it and why stays in the ledger. The
next "station identity crl" names its certificate; its token counts no more.`,
		Example: `  station identity revoke 24:0a:c4:01:02:03 --operator eve --reason "stolen from the depot"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.ledger.change(cmd.Context(), func(b *ledger.Ledger) error {
				d, err := f.named(b, args[0])
				switch {
				case err != nil:
					return err
				case !d.Identity.Revoked.IsZero():
					return fmt.Errorf("identity revoke: that of %s was revoked before, on %s", d.MAC, d.Identity.Revoked.UTC().Format("2006-01-02"))
				}
				names := record.Identity{ID: d.Identity.ID}
				if c := d.Identity.Certificate; c != nil {
					names.Certificate = &record.Certificate{Serial: c.Serial, SHA256: c.SHA256, Issuer: c.Issuer, CA: c.CA, Until: c.Until}
				}
				_, err = b.Append(record.Entry{Kind: record.IdentityRevoked, MAC: d.MAC, Operator: operator, Message: reason,
					Simulated: d.Simulated, About: record.NamesIdentity(names)})
				if err == nil {
					plain.Fprintf(cmd.OutOrStdout(), "revoked: %s, ID %s\n", d.MAC, d.Identity.ID)
				}
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
