package serve

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"station/internal/chip"
	"station/internal/keyfile"
)

// Certificates are those that CAs issued, to devices or to people, and the lists of
// those that they revoked.
type Certificates struct {
	Pool *x509.CertPool
	cas  []*x509.Certificate
	crls []*x509.RevocationList
}

// ReadCertificates reads CAs and their lists, in PEM; paths of lists may be none.
func ReadCertificates(caPaths, crlPaths []string) (*Certificates, error) {
	c := &Certificates{Pool: x509.NewCertPool()}
	var faults []error
	for _, path := range caPaths {
		err := eachPEM(path, "CERTIFICATE", func(der []byte) error {
			ca, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			if !ca.IsCA {
				return errors.New("it is no CA's certificate")
			}
			c.cas = append(c.cas, ca)
			c.Pool.AddCert(ca)
			return nil
		})
		faults = append(faults, err)
	}
	for _, path := range crlPaths {
		faults = append(faults, eachPEM(path, "X509 CRL", c.addCRL))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	return c, nil
}

// First is the certificate of the first CA.
func (c *Certificates) First() *x509.Certificate { return c.cas[0] }

// addCRL takes a list that one of the CAs signed, also one that is over: what
// was revoked in it stays revoked.
func (c *Certificates) addCRL(der []byte) error {
	list, err := x509.ParseRevocationList(der)
	if err != nil {
		return err
	}
	for _, ca := range c.cas {
		if list.CheckSignatureFrom(ca) == nil {
			c.crls = append(c.crls, list)
			return nil
		}
	}
	return errors.New("none of the CAs signed it")
}

// eachPEM gives on the blocks of a file, of which there must be one.
func eachPEM(path, kind string, each func(der []byte) error) error {
	data, err := keyfile.Read(path, keyfile.Key)
	if err != nil {
		return fmt.Errorf("certificates: %w", err)
	}
	found := false
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != kind {
			continue
		}
		found = true
		if err := each(block.Bytes); err != nil {
			return fmt.Errorf("certificates: %s: %w", path, err)
		}
	}
	if !found {
		return fmt.Errorf("certificates: %s holds no %s in PEM", path, kind)
	}
	return nil
}

// Revoked tells whether a list names the certificate.
func (c *Certificates) Revoked(cert *x509.Certificate) bool {
	for _, list := range c.crls {
		if string(list.RawIssuer) != string(cert.RawIssuer) {
			continue
		}
		for _, gone := range list.RevokedCertificateEntries {
			if gone.SerialNumber.Cmp(cert.SerialNumber) == 0 {
				return true
			}
		}
	}
	return false
}

// Certificate implements Identities for a certificate whose chain was verified:
// it is not revoked, and its common name or serial number is a MAC.
func (c *Certificates) Certificate(cert *x509.Certificate) (chip.MAC, error) {
	if c.Revoked(cert) {
		return chip.MAC{}, errors.New("the certificate was revoked")
	}
	for _, name := range []string{cert.Subject.CommonName, cert.Subject.SerialNumber} {
		if mac, err := chip.ParseMAC(name); err == nil {
			return mac, nil
		}
	}
	return chip.MAC{}, errors.New("the certificate names no MAC")
}
