package serve

import (
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"slices"
	"sync"
)

// revocations reads lists of revoked certificates (CRLs) from files, again whenever a
// file changes.
type revocations struct {
	paths []string
	cas   []*x509.Certificate // each list must be signed by one of them

	mu    sync.Mutex
	read  revoked
	of    []fs.FileInfo // of each file as it was when it was read
	fault error         // why the last reading failed; nil: it did not
}

// revoked is a set of revoked certificates, by issuer and serial number.
type revoked map[string]bool

func (r revoked) has(cert *x509.Certificate) bool {
	return r[revokedAs(cert.RawIssuer, cert.SerialNumber)]
}

// revokedAs is the key of a certificate in the set.
func revokedAs(issuer []byte, serial *big.Int) string { return string(issuer) + serial.String() }

// now gives the certificates that the lists revoke. It reads all files again if one of
// them changed or the last reading failed. news tells that err differs from that of the
// call before.
func (r *revocations) now() (read revoked, news bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of, err := statAll(r.paths...)
	if err != nil {
		err = fmt.Errorf("certificates: %w", err)
	}
	if err == nil && r.fault == nil && r.of != nil && unchanged(of, r.of) {
		return r.read, false, nil
	}
	if err == nil {
		read, err = readRevoked(r.paths, r.cas)
	}
	news = err != nil && (r.fault == nil || r.fault.Error() != err.Error())
	r.read, r.of, r.fault = read, of, err
	return read, news, err
}

// readRevoked reads all lists. The error names every file that cannot be used.
func readRevoked(paths []string, cas []*x509.Certificate) (revoked, error) {
	read := revoked{}
	var faults []error
	for _, path := range paths {
		faults = append(faults, eachPEM(path, "X509 CRL", func(der []byte) error { return read.add(der, cas) }))
	}
	return read, errors.Join(faults...)
}

// add adds the certificates of one list, in DER, which one of the CAs must have signed.
// A list that has expired counts too: what it revoked stays revoked.
func (r revoked) add(der []byte, cas []*x509.Certificate) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(cas, func(ca *x509.Certificate) bool { return list.CheckSignatureFrom(ca) == nil }) {
		return errors.New("none of the CAs signed it")
	}
	for _, entry := range list.RevokedCertificateEntries {
		r[revokedAs(list.RawIssuer, entry.SerialNumber)] = true
	}
	return nil
}
