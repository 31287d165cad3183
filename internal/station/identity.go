package station

import (
	"context"
	"crypto/x509"
	"fmt"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/identity"
	"station/internal/job"
	"station/internal/record"
	"station/internal/secret"
)

// identitySecret is what the master of a device's identity makes for a purpose.
func identitySecret(ctx context.Context, token *hsm.Token, d record.Device, purpose chip.Purpose) (*secret.Bytes, error) {
	family, err := d.Family()
	if err != nil {
		return nil, err
	}
	size := 32
	if purpose == chip.NVSKeys {
		size = identity.NVSKeySize
	}
	key, err := token.DeviceKey(ctx, hsm.Request{Chip: family.Name, MAC: d.MAC, Purpose: purpose, Size: size, Policy: hsm.Derived, Label: d.Identity.Label})
	if err != nil {
		return nil, TokenFailure(err)
	}
	return key.Secret, nil
}

// IdentityAgain adds to own the identity that the device was given, as the job writes
// it: what is derived comes again of the token, the certificate out of the ledger.
// What is in own is the caller's to destroy, also after an error.
func IdentityAgain(ctx context.Context, token *hsm.Token, d record.Device, j *job.Job, own *job.Own) error {
	want, had := j.Identity, d.Identity
	if want.Label != had.Label {
		return fmt.Errorf("identity of %s: it came of the master %q, and %s names %q", d.MAC, had.Label, j.Path, want.Label)
	}
	v := &identity.Values{MAC: d.MAC, Serial: d.Serial, Batch: d.Batch, Job: j.Name, Revision: j.Revision}
	own.Values = v
	for _, purpose := range want.Purposes() {
		made, err := identitySecret(ctx, token, d, purpose)
		if err != nil {
			return err
		}
		if !v.Take(purpose, made) {
			own.NVSKeys = made
		}
	}
	if v.ID != had.ID {
		return flow.Fail("E-KEY-CHANGED", fmt.Errorf("the ledger has the ID %s, the token gives %s", had.ID, v.ID))
	}
	if want.Certificate == nil {
		return nil
	}
	return certificateAgain(d, want.Certificate.Issuer(), v)
}

// certificateAgain adds the device's certificate and that of its CA.
func certificateAgain(d record.Device, ca *x509.Certificate, v *identity.Values) error {
	had := d.Identity.Certificate
	if had == nil || had.CA != identity.Fingerprint(ca.Raw) {
		return fmt.Errorf("identity of %s: the ledger has no certificate for it of the CA %q", d.MAC, ca.Subject)
	}
	public, err := identity.DeviceKey(v.PrivateKey)
	if err == nil {
		v.Public, err = public.Bytes()
	}
	v.Certificate, v.CA = had.DER, ca.Raw
	return err
}

// IdentityFaults are what is wrong with a device's identity: by the token, of
// which it must come again, by the chain of its certificate, and by the ledger.
func IdentityFaults(ctx context.Context, token *hsm.Token, d record.Device, trusted []*x509.Certificate) (faults []string, err error) {
	i := d.Identity
	if !i.Known() {
		return nil, fmt.Errorf("%s has no identity", d.MAC)
	}
	id, err := identitySecret(ctx, token, d, chip.DeviceID)
	if err != nil {
		return nil, err
	}
	defer id.Destroy()
	if again := identity.ID(id.Reveal()); again != i.ID {
		faults = append(faults, fmt.Sprintf("the token gives the ID %s", again))
	}
	if !i.Revoked.IsZero() {
		faults = append(faults, "it was revoked on "+i.Revoked.UTC().Format(time.DateOnly))
	}
	if i.Certificate == nil {
		return faults, nil
	}
	more, err := certificateFaults(ctx, token, d, trusted)
	return append(faults, more...), err
}

// certificateFaults are what is wrong with the recorded certificate of a device.
func certificateFaults(ctx context.Context, token *hsm.Token, d record.Device, trusted []*x509.Certificate) (faults []string, err error) {
	had := d.Identity.Certificate
	cert, err := x509.ParseCertificate(had.DER)
	if err != nil {
		return []string{fmt.Sprintf("its certificate: %v", err)}, nil
	}
	private, err := identitySecret(ctx, token, d, chip.DevicePrivateKey)
	if err != nil {
		return nil, err
	}
	defer private.Destroy()
	public, err := identity.DeviceKey(private)
	if err != nil {
		return nil, err
	}
	if !public.Equal(cert.PublicKey) {
		faults = append(faults, "its certificate is for another key than the token gives")
	}
	if identity.Fingerprint(cert.Raw) != had.SHA256 || identity.SerialText(cert.SerialNumber) != had.Serial {
		faults = append(faults, "its certificate is not the one that the ledger names")
	}
	if len(trusted) == 0 {
		return faults, nil
	}
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, c := range trusted {
		if c.CheckSignatureFrom(c) == nil {
			roots.AddCert(c)
		} else {
			between.AddCert(c)
		}
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		faults = append(faults, fmt.Sprintf("its chain: %v", err))
	}
	return faults, nil
}

// CRL is the list of the certificates of a CA that were revoked, in DER. It names all
// that the CA's key signed: the CA may have had another certificate then.
func CRL(devices func(func(record.Device, error) bool), number int64, days int, ca *x509.Certificate, key *hsm.SigningKey) ([]byte, error) {
	var list []identity.Revoked
	for d, err := range devices {
		if err != nil {
			return nil, LedgerFailure(err)
		}
		i := d.Identity
		if i.CertificateSerial() == "" || i.Revoked.IsZero() {
			continue
		}
		cert, err := x509.ParseCertificate(i.Certificate.DER)
		if err != nil {
			return nil, fmt.Errorf("certificate %s of %s: %w", i.Certificate.Serial, d.MAC, err)
		}
		if cert.CheckSignatureFrom(ca) == nil {
			list = append(list, identity.Revoked{Serial: cert.SerialNumber, At: i.Revoked})
		}
	}
	return identity.RevocationList(number, list, time.Now(), days, ca, key)
}
