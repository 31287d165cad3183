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

// Certificates tell who shows a certificate of a CA that is trusted, be it a device
// or a person, and whether the CA has revoked it since.
type Certificates struct {
	// Tell hears why nobody is let in by a certificate: a list of revoked ones that
	// cannot be read. It hears each reason once; nil: nobody does.
	Tell func(fault error)

	cas     []*x509.Certificate
	revoked revocations
}

// ReadCertificates reads the CAs and the lists of the certificates that they revoked,
// files in PEM. There may be no list; one that changes is read again.
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

// First is the certificate of the first CA.
func (c *Certificates) First() *x509.Certificate { return c.cas[0] }

// Pool is the CAs, for TLS to verify certificates with. Of no Certificates it is nil.
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

// eachPEM calls each with the content of every block of that kind in a file, which has
// at least one.
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

// Good tells whether one of the chains that TLS has verified has no revoked certificate
// in it, by the lists as they are now. While a list cannot be read no chain is good.
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

// Certificate implements Identities: the certificate is good, and its common name or
// its subject's serial number is a MAC.
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
