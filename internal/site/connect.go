package site

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ConnectTime is how long a connection may take to come about.
const ConnectTime = 5 * time.Second

// Connect opens a connection with a pass, to where the site is, or where it was while it is
// not to be found there yet. It does not come back by itself when it is lost: who lost it has
// to find out first what has arrived.
func (p *Pass) Connect(ctx context.Context, more ...nats.Option) (*nats.Conn, error) {
	conn, err := p.connect(ctx, p.URL, more)
	if err != nil && p.Former != "" && ctx.Err() == nil {
		var formerErr error
		if conn, formerErr = p.connect(ctx, p.Former, more); formerErr == nil {
			return conn, nil
		}
		err = errors.Join(err, formerErr)
	}
	return conn, err
}

func (p *Pass) connect(ctx context.Context, at string, more []nats.Option) (*nats.Conn, error) {
	public, err := PublicNkey(p.Seed)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	for _, der := range p.CAs {
		ca, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		roots.AddCert(ca)
	}
	dialer := &dial{ctx: ctx}
	options := append([]nats.Option{
		nats.Name(p.Bench), nats.NoReconnect(), nats.Timeout(ConnectTime), nats.SetCustomDialer(dialer),
		nats.Secure(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13, ServerName: p.ServerName}), nats.Nkey(public, p.sign), nats.CustomInboxPrefix(InboxOf(p.Bench)),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}), // else the library prints; who asks gets the error
	}, more...)
	conn, err := nats.Connect(at, options...)
	err = advised(err)
	if errors.Is(err, nats.ErrNoServers) && dialer.refused != nil {
		err = dialer.refused // the library says only that there is no server
	}
	if err != nil {
		return nil, fmt.Errorf("site %s at %s: %w", p.Site, at, err)
	}
	return conn, nil
}

// advised says what to do where the server's certificate is refused.
func advised(err error) error {
	var wrong *tls.CertificateVerificationError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fmt.Errorf("%w; set the clock of this machine, or, if it is right, give the site another certificate", err)
	case errors.As(err, &wrong):
		return fmt.Errorf("%w; who answers there is not the site of the pass, or has another certificate than the pass knows: look at the address, or let \"station site add\" make another pass", err)
	}
	return err
}

// sign answers the server's challenge.
func (p *Pass) sign(nonce []byte) ([]byte, error) {
	pair, err := nkeys.FromSeed(p.Seed.Reveal())
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}

// dial ends with its context.
type dial struct {
	ctx     context.Context
	refused error // why the last one came to nothing
}

func (d *dial) Dial(network, address string) (conn net.Conn, err error) {
	conn, err = (&net.Dialer{Timeout: ConnectTime}).DialContext(d.ctx, network, address)
	d.refused = err
	return conn, err
}
