package station

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"sync"
	"time"

	"station/internal/hsm"
	"station/internal/identity"
)

// certificateDays is how long a certificate of the server's is good; it is
// renewed when half of that is over.
const certificateDays = 90

// ServerCertificate is the server's own, for its names, by the CA in the token.
// Its key is made anew each time and is nowhere but in memory.
type ServerCertificate struct {
	Token *hsm.Token
	Label string // of the CA's key
	CA    *x509.Certificate
	Names []string // DNS names and IP addresses

	mu   sync.Mutex
	pair *tls.Certificate
	half time.Time
}

// Get implements tls.Config.GetCertificate. While the token is away the old one goes
// on as long as it is good.
func (c *ServerCertificate) Get(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if c.pair != nil && now.Before(c.half) {
		return c.pair, nil
	}
	ctx := context.Background()
	if hello != nil {
		ctx = hello.Context()
	}
	pair, err := c.make(ctx, now)
	if err == nil {
		c.pair, c.half = pair, now.Add(pair.Leaf.NotAfter.Sub(now)/2)
	}
	if c.pair == nil {
		return nil, err
	}
	return c.pair, nil
}

func (c *ServerCertificate) make(ctx context.Context, now time.Time) (*tls.Certificate, error) {
	signer, err := c.Token.CA(ctx, c.Label)
	if err != nil {
		return nil, TokenFailure(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	wanted := &x509.Certificate{SerialNumber: identity.NewSerial(), Subject: pkix.Name{CommonName: c.Names[0]}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 0, certificateDays),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true}
	for _, name := range c.Names {
		if ip := net.ParseIP(name); ip != nil {
			wanted.IPAddresses = append(wanted.IPAddresses, ip)
		} else {
			wanted.DNSNames = append(wanted.DNSNames, name)
		}
	}
	der, err := identity.Issue(wanted, &key.PublicKey, c.CA, signer)
	if err != nil {
		return nil, fmt.Errorf("server's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{der, c.CA.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
