package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"station/internal/ledger"
	"station/internal/record"
)

// identityFlags are those of the commands about identities: the ledger knows
// them, the token makes them.
type identityFlags struct {
	*tokenFlags
	ledger *ledgerFlags
}

func identityCommand(o *options) *cobra.Command {
	f := &identityFlags{&tokenFlags{options: o}, &ledgerFlags{options: o}}
	cmd := &cobra.Command{Use: "identity", Short: "Certify devices, and what makes them known later"}
	f.add(cmd)
	ofLedger := []*cobra.Command{identityShowCommand(f), identityVerifyCommand(f), identityRevokeCommand(f), identityCrlCommand(f)}
	for _, c := range ofLedger {
		c.Flags().StringVar(&f.ledger.path, "ledger", "", "ledger `FILE`, in place of the station file's")
	}
	cmd.AddCommand(append(ofLedger, identityCaCommand(f.tokenFlags))...)
	return cmd
}

func mustHaveIdentity(d record.Device) error {
	if !d.Identity.Known() {
		return fmt.Errorf("identity: %s has no identity: its job has no [identity]", d.MAC)
	}
	return nil
}

// namedDevice is the device of a MAC, a serial number, an ID or the serial
// number of a certificate, held against its entries.
func namedDevice(b *ledger.Ledger, name string) (record.Device, error) {
	mac, known, err := b.Named(name)
	switch {
	case errors.Is(err, ledger.ErrTwoDevices):
		return record.Device{}, err
	case err != nil:
		return record.Device{}, stationFault(err)
	case !known:
		return record.Device{}, fmt.Errorf("no device %q: want a MAC, a serial number, an ID or the serial number of a certificate; \"station ledger list\" lists them", name)
	}
	d, _, err := heldDevice(b, mac)
	return d, err
}
