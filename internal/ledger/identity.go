package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"station/internal/chip"
	"station/internal/record"
)

// IDs and serial numbers of certificates stand among the key IDs, which begin
// with a policy: all are names that belong to one device for ever.
func idName(id string) string              { return "id:" + id }
func certificateName(serial string) string { return "certificate:" + serial }

// namesOf are the names of an identity in the index.
func namesOf(i *record.Identity) (names []string) {
	if i.Known() {
		names = append(names, idName(i.ID))
	}
	if serial := i.CertificateSerial(); serial != "" {
		names = append(names, certificateName(serial))
	}
	return names
}

// hasName reports that a name in the index is of the device's identity.
func hasName(d *record.Device, name string) bool {
	for _, n := range namesOf(d.Identity) {
		if n == name {
			return true
		}
	}
	return false
}

// identityNames is what an identity sets in the index.
func identityNames(e *record.Entry) (out []index) {
	i, err := e.MadeIdentity()
	if err != nil {
		return nil
	}
	for _, name := range namesOf(&i) {
		out = append(out, index{inKeys, name, bytes.Clone(e.MAC[:])})
	}
	return out
}

// identityFits tells what an entry about an identity contradicts.
func identityFits(e *record.Entry, d *record.Device) error {
	i, err := e.MadeIdentity()
	had := d.Identity
	switch {
	case err != nil:
		return err
	case e.MAC.IsZero() || !i.Known() && (e.Kind == record.IdentityMade || i.Certificate != nil):
		return errors.New("an identity needs its ID and its device's MAC")
	case had.Known() && had.ID != i.ID:
		return fmt.Errorf("%w: %s has the ID %s, not %s", record.ErrIdentity, e.MAC, had.ID, i.ID)
	case had.CertificateSerial() != "" && had.CertificateSerial() != i.CertificateSerial():
		return fmt.Errorf("%w: %s has the certificate %s", record.ErrIdentity, e.MAC, had.CertificateSerial())
	case e.Kind == record.IdentityRevoked:
		return revocationFits(e.MAC, &i, d)
	}
	return nil
}

// revocationFits tells what the revocation of a device contradicts: it names the identity
// that the device has, or none where the device was sealed without one.
func revocationFits(mac chip.MAC, i *record.Identity, d *record.Device) error {
	switch {
	case i.Known() && !d.Identity.Known():
		return fmt.Errorf("%w: %s has no identity", record.ErrIdentity, mac)
	case !i.Known() && !d.Sealed:
		return fmt.Errorf("%w: %s has no identity, and was never sealed", record.ErrIdentity, mac)
	case !d.Revoked().IsZero():
		return fmt.Errorf("%w: %s was revoked before", record.ErrIdentity, mac)
	}
	return nil
}

// allowIdentity keeps the promises about identities: a device has one for ever,
// and none of its names is given twice.
func (t *txn) allowIdentity(e *record.Entry, d record.Device) error {
	if err := identityFits(e, &d); err != nil {
		return err
	}
	for _, n := range identityNames(e) {
		mac, bound, err := owner(t, n.key)
		if err != nil {
			return err
		}
		if bound && mac != e.MAC {
			return fmt.Errorf("%w: %s belongs to %s", record.ErrIdentity, n.key, mac)
		}
	}
	return nil
}

func (t *txn) allowRevocation(e *record.Entry, d record.Device) error { return identityFits(e, &d) }

// ErrTwoDevices means that two devices have the name.
var ErrTwoDevices = errors.New("two devices are called so")

// Named is the device that a person means: by its MAC, its serial number, its ID
// or the serial number of its certificate. known is false where no device that
// the ledger has is called so. A name of two devices is one of none; a real
// one has it before a virtual one.
func (l *Ledger) Named(name string) (mac chip.MAC, known bool, err error) {
	if mac, err = chip.ParseMAC(name); err == nil {
		if _, known, err = l.Device(mac); err != nil || len(name) > len("240ac4010203") {
			return mac, known, err
		}
	}
	for _, n := range []string{serialName(name, false), idName(strings.ToLower(name)), certificateName(strings.ToUpper(name)), serialName(name, true)} {
		switch owner, owned, err := l.KeyOwner(n); {
		case err != nil:
			return mac, false, err
		case owned && known && owner.Local() && !mac.Local():
		case owned && known && owner != mac:
			return mac, false, fmt.Errorf("%q: %w: %s and %s; write the MAC, with colons", name, ErrTwoDevices, mac, owner)
		case owned:
			mac, known = owner, true
		}
	}
	return mac, known, nil
}
