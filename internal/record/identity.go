package record

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// What a device is known by later.
const (
	// IdentityMade: an identity belongs to the MAC, once and for ever. About is
	// an Identity. One that had no certificate may get one in a second entry.
	IdentityMade Kind = "identity.made"
	// IdentityRevoked: the device is no longer to be let in anywhere. About is
	// the Identity by its names; of a device that was sealed without one, an empty
	// one. Message says why.
	IdentityRevoked Kind = "identity.revoked"
)

// ErrIdentity: the ID or the certificate's serial number belongs to another
// device, or the device has another identity.
var ErrIdentity = errors.New("the identity is taken")

// Identity is the About of IdentityMade and IdentityRevoked, and what a device has by them. The token
// and the private key of a device come again out of the master that Label names;
// they are nowhere else.
type Identity struct {
	ID          string       `json:"id"`
	Label       string       `json:"label,omitempty"` // of the master in the token of the station
	Token       bool         `json:"token,omitempty"` // the device has one
	Certificate *Certificate `json:"certificate,omitempty"`
	Revoked     time.Time    `json:"revoked,omitzero"` // of a device: since when
}

// Certificate is a device's certificate, signed by a CA of the station's token.
type Certificate struct {
	Serial string    `json:"serial"` // upper-case hexadecimal digits
	SHA256 string    `json:"sha256"` // sha256:… of the certificate
	Issuer string    `json:"issuer"` // the CA's name,
	CA     string    `json:"ca"`     // and the sha256:… of its certificate
	Until  time.Time `json:"until"`
	DER    []byte    `json:"der,omitempty"`
}

// MadeIdentity reads the identity in an entry of the kinds IdentityMade and IdentityRevoked.
func (e Entry) MadeIdentity() (i Identity, err error) {
	if err = json.Unmarshal(e.About, &i); err != nil {
		return i, fmt.Errorf("%s: %w", e.Kind, err)
	}
	return i, nil
}

// NamesIdentity is About of an entry about that identity.
func NamesIdentity(i Identity) json.RawMessage {
	b, _ := json.Marshal(i) // texts, bytes and times
	return b
}

// Known tells whether the device has an identity: one that was revoked without it has none.
func (i *Identity) Known() bool { return i != nil && i.ID != "" }

// CertificateSerial is the serial number of the certificate; "" is none.
func (i *Identity) CertificateSerial() string {
	if i == nil || i.Certificate == nil {
		return ""
	}
	return i.Certificate.Serial
}

// identified takes what an entry says of the device's identity. What cannot be
// read changes nothing: the ledger lets no such entry in.
func (d *Device) identified(e *Entry) {
	i, err := e.MadeIdentity()
	if err != nil {
		return
	}
	if e.Kind == IdentityMade {
		if d.Identity != nil {
			i.Revoked = d.Identity.Revoked
		}
		d.Identity = &i
		return
	}
	var now Identity
	if d.Identity != nil {
		now = *d.Identity // copies of a device share it
	}
	now.Revoked = e.Time
	d.Identity = &now
}

// Revoked is since when the device is to be let in nowhere, whether it has an identity or
// not; the zero time where it was not revoked.
func (d Device) Revoked() time.Time {
	if d.Identity == nil {
		return time.Time{}
	}
	return d.Identity.Revoked
}
