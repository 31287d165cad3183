package flow

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"

	"station/internal/bootlog"
	"station/internal/chip"
	"station/internal/identity"
	"station/internal/job"
	"station/internal/record"
	"station/internal/secret"
)

// held is what a visit holds of the device's identity, until its flash is
// written.
type held struct {
	values  *identity.Values
	nvsKeys *secret.Bytes
}

// Destroy overwrites what is secret.
func (h *held) Destroy() {
	h.values.Destroy()
	h.nvsKeys.Destroy()
}

// identify makes the device's identity, or makes it again, and binds it to the
// MAC. ID, token and private key come of the token's master each time; the
// certificate, which is signed once, comes out of the ledger.
func (s *Session) identify(ctx context.Context) error {
	want := s.Job.Identity
	if want == nil {
		return nil
	}
	v := &identity.Values{MAC: s.ID.MAC, Serial: s.Serial, Batch: s.batch, Job: s.Job.Name, Revision: s.Job.Revision}
	s.identity.values = v
	for _, purpose := range want.Purposes() {
		got, err := s.identityKey(ctx, want, purpose)
		if err != nil {
			return err
		}
		if !v.Take(purpose, got) {
			s.identity.nvsKeys = got
		}
	}
	had := s.Device.Identity
	if had.Known() && had.ID != v.ID {
		return failf("E-KEY-CHANGED", "the ledger has the ID %s, the token gives %s", had.ID, v.ID)
	}
	made := record.Identity{ID: v.ID, Label: want.Label, Token: want.Token || had.Known() && had.Token}
	if err := s.certify(ctx, want.Certificate, v, &made); err != nil {
		return err
	}
	if had.Known() && had.CertificateSerial() == made.CertificateSerial() && had.Token == made.Token {
		return nil
	}
	return s.note(record.Entry{Kind: record.IdentityMade, About: record.NamesIdentity(made)})
}

// identityKey is what the master of the job's identity makes for one purpose.
func (s *Session) identityKey(ctx context.Context, want *job.Identity, purpose chip.Purpose) (*secret.Bytes, error) {
	key := want.Key()
	size := 32
	if purpose == chip.NVSKeys {
		size = identity.NVSKeySize
	}
	k, err := s.Keys.DeviceKey(ctx, KeyRequest{Chip: s.Job.ChipName(), MAC: s.ID.MAC, Purpose: purpose, Size: size, Policy: key.Policy, Label: key.Label, PRF: key.PRF})
	if err != nil {
		return nil, Fail("E-HSM", fmt.Errorf("%s: %w", purpose, err))
	}
	return k.Secret, nil
}

// certify gives the device the certificate that it has, or has the CA sign one.
func (s *Session) certify(ctx context.Context, want *job.Certificate, v *identity.Values, made *record.Identity) error {
	had := s.Device.Identity
	if had.CertificateSerial() != "" {
		made.Certificate = had.Certificate
	}
	if want == nil {
		return nil
	}
	public, err := identity.DeviceKey(v.PrivateKey)
	if err == nil {
		v.Public, err = public.Bytes()
	}
	if err != nil {
		return Fail("E-HSM", err)
	}
	issuer, err := s.Keys.Issuer(ctx, want)
	if err != nil {
		return Fail("E-HSM", fmt.Errorf("CA: %w", err))
	}
	v.CA = issuer.Certificate.Raw
	if made.Certificate != nil {
		v.Certificate = made.Certificate.DER
		return s.sameCertificate(made.Certificate, public, issuer.Certificate)
	}
	c, err := want.Certificate(v, identity.NewSerial(), s.now())
	if err != nil {
		return Fail("E-IDENTITY", err)
	}
	if v.Certificate, err = identity.Issue(c, public, issuer.Certificate, issuer.Signer); errors.Is(err, identity.ErrOver) {
		return Fail("E-IDENTITY", err)
	} else if err != nil {
		return Fail("E-HSM", err)
	}
	made.Certificate = &record.Certificate{Serial: identity.SerialText(c.SerialNumber), SHA256: identity.Fingerprint(v.Certificate), Issuer: issuer.Certificate.Subject.String(),
		CA: identity.Fingerprint(issuer.Certificate.Raw), Until: c.NotAfter.UTC(), DER: v.Certificate}
	return nil
}

// sameCertificate refuses a recorded certificate that is not of the device's key
// or not of the job's CA.
func (s *Session) sameCertificate(had *record.Certificate, public *ecdsa.PublicKey, ca *x509.Certificate) error {
	c, err := x509.ParseCertificate(had.DER)
	if err != nil {
		return failf("E-LEDGER-DISAGREES", "certificate %s: %w", had.Serial, err)
	}
	if !public.Equal(c.PublicKey) {
		return failf("E-KEY-CHANGED", "certificate %s is for another private key than the token gives", had.Serial)
	}
	if had.CA != identity.Fingerprint(ca.Raw) {
		return s.begunOther(fmt.Sprintf("its certificate %s is of the CA %s, this job's is %s", had.Serial, had.CA, identity.Fingerprint(ca.Raw)))
	}
	return nil
}

// idLine is what the firmware must print of the device's ID; "" for nothing.
func (s *Session) idLine() string {
	if s.Device.Identity.Known() {
		return s.Job.Identity.Line(s.Device.Identity.ID)
	}
	return ""
}

// unknownToItself tells how a start that was good otherwise did not show that
// the device reads the identity that it was given.
func (s *Session) unknownToItself(log []byte) error {
	before, _, _ := strings.Cut(s.idLine(), s.Device.Identity.ID)
	if line, any := bootlog.Marker(log, before); any && before != "" {
		return failf("E-BOOT-IDENTITY", "the firmware printed %q, want %q", line, s.idLine())
	}
	return failf("E-BOOT-IDENTITY", "the firmware did not print %q", s.idLine())
}
