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

// Bounds of a connection.
const (
	headerTime  = 10 * time.Second // within which a request must have begun and its header have come
	idleTime    = 2 * time.Minute  // for which a connection may have nothing to say
	maxHeader   = 16 << 10
	stopTime    = 30 * time.Second // for which requests may go on when the server stops
	Connections = 20_000           // at the same time, unless told otherwise
)

// Listen serves on a listener until ctx ends; then what has begun may come to
// its end. cas are the CAs of devices' certificates, nil for none; connections
// is how many there may be at the same time, 0 for Connections.
func (s *Server) Listen(ctx context.Context, l net.Listener, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error), cas *x509.CertPool, connections int) error {
	go s.sweeping(ctx)
	return Listen(ctx, l, s.Handler(), cert, cas, connections)
}

// Listen serves any handler so. The handler's part of the bounds is Bounded.
func Listen(ctx context.Context, l net.Listener, handler http.Handler, cert func(*tls.ClientHelloInfo) (*tls.Certificate, error), cas *x509.CertPool, connections int) error {
	if connections == 0 {
		connections = Connections
	}
	config := &tls.Config{GetCertificate: cert, MinVersion: tls.VersionTLS12}
	if cas != nil {
		config.ClientAuth, config.ClientCAs = tls.VerifyClientCertIfGiven, cas
	}
	h := &http.Server{Handler: handler, TLSConfig: config, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(quiet{}, "", 0)}
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

// quiet drops what anybody can make the library say as often as he likes:
// handshakes that fail. What a request did is in the access log.
type quiet struct{}

func (quiet) Write(p []byte) (int, error) { return len(p), nil }
