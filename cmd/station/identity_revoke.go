package main

import (
	"fmt"
	"io"
	"time"

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
		Long: `Revoke a device: "station serve" turns it away from now on, whatever it shows. NAME
is its MAC, its serial number, its ID or the serial number of its certificate. Who
did it and why stays in the ledger. A device without an identity is revoked by its
MAC, once it was sealed.

The next "station identity crl" names its certificate. A device without one is in
no such list: other servers than "station serve" do not hear of it.`,
		Example: `  station identity revoke 24:0a:c4:01:02:03 --operator eve --reason "stolen from the depot"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.ledger.change(cmd.Context(), func(b *ledger.Ledger) error {
				d, err := revocable(b, args[0])
				if err != nil {
					return err
				}
				_, err = b.Append(record.Entry{Kind: record.IdentityRevoked, MAC: d.MAC, Operator: operator, Message: reason,
					Simulated: d.Simulated, About: record.NamesIdentity(namesOf(d.Identity))})
				if err == nil {
					printRevoked(cmd.OutOrStdout(), d)
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

// revocable is the device that an argument means: one with an identity, or one that was
// sealed without.
func revocable(b *ledger.Ledger, name string) (record.Device, error) {
	d, err := namedDevice(b, name)
	switch {
	case err != nil:
		return d, fmt.Errorf("identity revoke: %w", err)
	case !d.Revoked().IsZero():
		return d, fmt.Errorf("identity revoke: %s was revoked before, on %s", d.MAC, d.Revoked().UTC().Format(time.DateOnly))
	case !d.Identity.Known() && !d.Sealed:
		return d, fmt.Errorf("identity revoke: %s was never sealed and has no identity: there is nothing to revoke, and \"station serve\" lets it in nowhere", d.MAC)
	}
	return d, nil
}

// namesOf are the names of an identity, without what else is known of it; none of a device
// that has none.
func namesOf(i *record.Identity) (names record.Identity) {
	if !i.Known() {
		return names
	}
	names.ID = i.ID
	if c := i.Certificate; c != nil {
		names.Certificate = &record.Certificate{Serial: c.Serial, SHA256: c.SHA256, Issuer: c.Issuer, CA: c.CA, Until: c.Until}
	}
	return names
}

// printRevoked says what was revoked, and who hears of it how.
func printRevoked(w io.Writer, d record.Device) {
	what := "no ID"
	if d.Identity.Known() {
		what = "ID " + d.Identity.ID
	}
	plain.Fprintf(w, "revoked: %s, %s\n", d.MAC, what)
	if serial := d.Identity.CertificateSerial(); serial != "" {
		plain.Fprintf(w, "the next \"station identity crl\" names its certificate, %s\n", serial)
		return
	}
	plain.Fprintf(w, "it has no certificate of the line: no list of \"station identity crl\" names it; \"station serve\" turns it away by its MAC\n")
}
