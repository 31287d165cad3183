package site

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// ConnectTime is how long a connection may take to come about.
const ConnectTime = 5 * time.Second

// Connect opens a connection with a pass. It does not come back by itself when it
// is lost: who lost it has to find out first what has arrived.
func (p *Pass) Connect(ctx context.Context, more ...nats.Option) (*nats.Conn, error) {
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
	conn, err := nats.Connect(p.URL, options...)
	if err != nil {
		return nil, fmt.Errorf("site %s at %s: %w", p.Site, p.URL, err)
	}
	return conn, nil
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
type dial struct{ ctx context.Context }

func (d *dial) Dial(network, address string) (net.Conn, error) {
	return (&net.Dialer{Timeout: ConnectTime}).DialContext(d.ctx, network, address)
}
