package serve

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"station/internal/chip"
	"station/internal/keyfile"
)

// Certificates checks client certificates, of devices or of people: one of the trusted
// CAs issued it, and has not revoked it since.
type Certificates struct {
	// Tell, if not nil, is called when a list of revoked certificates cannot be read and
	// therefore no certificate is accepted. While the error stays the same it is not
	// called again.
	Tell func(fault error)

	cas     []*x509.Certificate
	revoked revocations
}

// ReadCertificates reads the trusted CAs and their lists of revoked certificates (CRLs).
// All files are PEM. listPaths may be empty. A list whose file changes later is read
// again. The error names every file that cannot be used.
func ReadCertificates(caPaths, listPaths []string) (*Certificates, error) {
	c := &Certificates{}
	var faults []error
	for _, path := range caPaths {
		faults = append(faults, eachPEM(path, "CERTIFICATE", c.addCA))
	}
	c.revoked = revocations{paths: listPaths, cas: c.cas}
	_, _, err := c.revoked.now()
	if err := errors.Join(append(faults, err)...); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *Certificates) addCA(der []byte) error {
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		return err
	}
	if !ca.IsCA {
		return errors.New("it is no CA's certificate")
	}
	c.cas = append(c.cas, ca)
	return nil
}

// First is the first CA's certificate.
func (c *Certificates) First() *x509.Certificate { return c.cas[0] }

// Pool is the CAs as crypto/tls wants them; nil if c is nil.
func (c *Certificates) Pool() *x509.CertPool {
	if c == nil {
		return nil
	}
	pool := x509.NewCertPool()
	for _, ca := range c.cas {
		pool.AddCert(ca)
	}
	return pool
}

// eachPEM calls each with the content of every PEM block of that kind in the file. A
// file without such a block is an error.
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

// Good tells whether a client certificate is accepted. chains are those that crypto/tls
// has verified; one of them must be free of revoked certificates. The lists are read
// again first if their files have changed. While one cannot be read, no certificate is
// accepted.
func (c *Certificates) Good(chains [][]*x509.Certificate) bool {
	if len(chains) == 0 {
		return false
	}
	revoked, news, err := c.revoked.now()
	if err != nil {
		if news && c.Tell != nil {
			c.Tell(fmt.Errorf("nobody is let in by a certificate: %w", err))
		}
		return false
	}
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return !slices.ContainsFunc(chain, revoked.has) })
}

// Certificate implements Identities. It takes the device's MAC from the common name or
// the serialNumber of the certificate's subject.
func (c *Certificates) Certificate(chains [][]*x509.Certificate) (chip.MAC, error) {
	if !c.Good(chains) {
		return chip.MAC{}, errors.New("no certificate that is known to be good")
	}
	subject := chains[0][0].Subject
	for _, name := range []string{subject.CommonName, subject.SerialNumber} {
		if mac, err := chip.ParseMAC(name); err == nil {
			return mac, nil
		}
	}
	return chip.MAC{}, errors.New("the certificate names no MAC")
}
