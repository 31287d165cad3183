package hub

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/url"
	"time"

	"station/internal/keyfile"
)

// Own is a certificate for the site's server that somebody else made.
type Own struct {
	Chain [][]byte // DER, the server's first
	Key   crypto.Signer
	CA    *x509.Certificate // to which it leads
}

// ReadOwn reads such a certificate, and makes sure that its three files belong together.
func ReadOwn(chain, key, ca string) (*Own, error) {
	own := new(Own)
	leaf, err := keyfile.ReadCertificate(chain)
	if err != nil {
		return nil, err
	}
	if own.CA, err = keyfile.ReadCertificate(ca); err != nil {
		return nil, err
	}
	if own.Key, err = keyfile.ReadPrivate(key); err != nil {
		return nil, err
	}
	own.Chain = [][]byte{leaf.Raw}
	roots := x509.NewCertPool()
	roots.AddCert(own.CA)
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots}); err != nil {
		return nil, err
	}
	public, ok := leaf.PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(own.Key.Public()) {
		return nil, errors.New("the key is not that of the certificate")
	}
	return own, nil
}

// caYears is how long the CA and the certificate of a site last: both belong to one
// folder, and whoever has that has the keys.
const caYears = 20

func newKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// certify makes a CA and a certificate for the host of the URL, this machine and the names.
func (f *Folder) certify(names []string) (*Own, error) {
	at, err := url.Parse(f.URL)
	if err != nil {
		return nil, err
	}
	caKey, err := newKey()
	if err != nil {
		return nil, err
	}
	if err := f.writeKey("ca.key", caKey); err != nil {
		return nil, err
	}
	wanted := certificate("station site " + f.Name)
	wanted.IsCA, wanted.KeyUsage = true, x509.KeyUsageCertSign|x509.KeyUsageDigitalSignature
	caDER, err := x509.CreateCertificate(rand.Reader, wanted, wanted, caKey.Public(), caKey)
	if err != nil {
		return nil, err
	}
	ca, err := x509.ParseCertificate(caDER)
	if err != nil {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	wanted = certificate(at.Hostname())
	wanted.KeyUsage, wanted.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, name := range append([]string{at.Hostname(), "localhost", "127.0.0.1", "::1"}, names...) {
		addName(wanted, name)
	}
	leaf, err := x509.CreateCertificate(rand.Reader, wanted, ca, key.Public(), caKey)
	return &Own{Chain: [][]byte{leaf}, Key: key, CA: ca}, err
}

func addName(c *x509.Certificate, name string) {
	if ip := net.ParseIP(name); ip != nil {
		c.IPAddresses = append(c.IPAddresses, ip)
	} else {
		c.DNSNames = append(c.DNSNames, name)
	}
}

func certificate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		panic(err) // the system has no random numbers
	}
	from := time.Now().Add(-time.Hour)
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: from, NotAfter: from.AddDate(caYears, 0, 0), BasicConstraintsValid: true}
}

// keep writes the certificate into the folder.
func (f *Folder) keep(own *Own) error {
	return errors.Join(f.writePEM("ca.pem", "CERTIFICATE", own.CA.Raw), f.writePEM("server.pem", "CERTIFICATE", own.Chain...), f.writeKey("server.key", own.Key))
}
