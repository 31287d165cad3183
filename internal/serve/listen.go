package serve

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

// Limits of connections.
const (
	headerTime  = 10 * time.Second // how long the header of a request may take to arrive
	idleTime    = 2 * time.Minute  // how long a connection may stay open between requests
	maxHeader   = 16 << 10         // bytes of a request's header
	stopTime    = 30 * time.Second // how long running requests may go on when the server stops
	Connections = 20_000           // how many may be open at the same time, by default
)

// Listen serves HTTPS on l until ctx ends, as the function Listen does, and sweeps the
// store of left-over files meanwhile.
func (s *Server) Listen(ctx context.Context, l net.Listener, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error), cas *x509.CertPool, connections int) error {
	go s.sweeping(ctx)
	return Listen(ctx, l, s.Handler(), cert, cas, connections)
}

// Listen serves handler over HTTPS on l until ctx ends; then it takes no new connections
// and gives running requests 30 seconds to end. cert chooses the server's certificate.
// cas are the CAs of client certificates, nil for none: a client may show one, and need
// not. connections is how many may be open at the same time, 0 for Connections. Listen
// limits headers and idle connections; wrap the handler with Bounded to limit bodies.
func Listen(ctx context.Context, l net.Listener, handler http.Handler, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error), cas *x509.CertPool, connections int) error {
	if connections == 0 {
		connections = Connections
	}
	config := &tls.Config{GetCertificate: cert, MinVersion: tls.VersionTLS12}
	if cas != nil {
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, cas
	}
	h := &http.Server{Handler: handler, TLSConfig: config, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(discard{}, "", 0)}
	done := make(chan error, 1)
	go func() { done <- h.ServeTLS(netutil.LimitListener(l, connections), "", "") }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	err := h.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		err = h.Close()
	}
	if end := <-done; !errors.Is(end, http.ErrServerClosed) {
		err = errors.Join(err, end)
	}
	return err
}

// discard drops the messages of net/http, which any client can cause as often as it
// likes, such as failed handshakes. Requests are in the access log.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
