package main

import (
	"cmp"
	"encoding/pem"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/plain"
	"station/internal/record"
)

type identityAnswer struct {
	MAC         chip.MAC           `json:"mac"`
	Serial      string             `json:"serial,omitempty"` // of the device
	ID          string             `json:"id"`               // empty: it has no identity
	Master      string             `json:"master"`           // label of the token's master that it comes of
	Token       bool               `json:"token"`            // the device has one
	Certificate *certificateAnswer `json:"certificate,omitempty"`
	Revoked     time.Time          `json:"revoked,omitzero"`
	By          string             `json:"revokedBy,omitempty"`
	Why         string             `json:"revokedWhy,omitempty"`
}

type certificateAnswer struct {
	Serial string    `json:"serial"`
	SHA256 string    `json:"sha256"`
	Issuer string    `json:"issuer"`
	CA     string    `json:"ca"` // sha256:… of the CA's certificate
	Until  time.Time `json:"until"`
}

// identityOf is what a device is known by that has an identity or is revoked, and who
// revoked it and why.
func identityOf(b *ledger.Ledger, d record.Device) (identityAnswer, error) {
	i := d.Identity
	a := identityAnswer{MAC: d.MAC, Serial: d.Serial, ID: i.ID, Master: i.Label, Token: i.Token, Revoked: i.Revoked}
	if c := i.Certificate; c != nil {
		a.Certificate = &certificateAnswer{c.Serial, c.SHA256, c.Issuer, c.CA, c.Until}
	}
	if i.Revoked.IsZero() {
		return a, nil
	}
	list, err := b.History(d.MAC)
	for _, e := range list {
		if e.Kind == record.IdentityRevoked {
			a.By, a.Why = e.Operator, e.Message
		}
	}
	return a, stationFault(err)
}

func identityShowCommand(f *identityFlags) *cobra.Command {
	var asJSON *bool
	var out output
	cmd := &cobra.Command{
		Use:   "show NAME",
		Short: "Show what a device is known by: ID, token or not, certificate",
		Long: `Show the identity of a device, and who revoked it and why; also of a device that
was revoked without an identity. NAME is its MAC, its serial number, its ID or the
serial number of its certificate. The token and the private key are never shown.`,
		Example: `  station identity show 24:0a:c4:01:02:03
  station identity show SN00000042 --out device.pem`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.ledger.read(func(b *ledger.Ledger) error {
				d, err := shownDevice(b, args[0])
				if err != nil {
					return err
				}
				if err := certificateFile(&out, d); err != nil {
					return err
				}
				a, err := identityOf(b, d)
				if err != nil {
					return err
				}
				if *asJSON {
					return answer(cmd.OutOrStdout(), a)
				}
				printIdentity(cmd.OutOrStdout(), a)
				return nil
			})
		},
	}
	out.add(cmd, "out", "", "write the certificate to `FILE`, in PEM")
	asJSON = jsonFlag(cmd)
	return cmd
}

// shownDevice is the device that an argument means, which has an identity or is revoked.
func shownDevice(b *ledger.Ledger, name string) (record.Device, error) {
	d, err := namedDevice(b, name)
	if err == nil && d.Revoked().IsZero() {
		err = mustHaveIdentity(d)
	}
	return d, err
}

// certificateFile writes the device's certificate where a file for it was named.
func certificateFile(out *output, d record.Device) error {
	switch {
	case out.path == "":
		return nil
	case d.Identity.Certificate == nil:
		return fmt.Errorf("identity show: %s has no certificate", d.MAC)
	}
	return out.bytes(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Identity.Certificate.DER}))
}

func printIdentity(w io.Writer, a identityAnswer) {
	row := func(name, value string) {
		if value != "" {
			plain.Fprintf(w, "%-12s %s\n", name, value)
		}
	}
	row("MAC", a.MAC.String())
	row("serial", a.Serial)
	row("id", cmp.Or(a.ID, "none"))
	row("token", map[bool]string{true: "yes, of " + a.Master, false: "no"}[a.Token])
	if c := a.Certificate; c != nil {
		row("certificate", c.Serial)
		row("", c.SHA256)
		row("issuer", c.Issuer)
		row("good until", c.Until.UTC().Format(time.DateOnly))
	}
	if !a.Revoked.IsZero() {
		row("REVOKED", a.Revoked.UTC().Format(time.RFC3339))
		row("by", a.By)
		row("why", a.Why)
	}
}
