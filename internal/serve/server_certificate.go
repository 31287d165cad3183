package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"station/internal/keyfile"
)

// OwnCertificate reads the server's own certificate and key from two PEM files, and
// gives a function for tls.Config.GetCertificate. The files are read again when they
// change, so a certificate can be renewed while the server runs. If the new files cannot
// be read or do not belong together, the old pair stays in use.
func OwnCertificate(certPath, keyPath string) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	o := &ownCertificate{cert: certPath, key: keyPath}
	if err := o.read(); err != nil {
		return nil, err
	}
	return o.get, nil
}

// ownCertificate is the server's certificate with the files it came from.
type ownCertificate struct {
	cert, key string

	mu   sync.Mutex
	pair tls.Certificate
	of   []fs.FileInfo // of both files as they were when they were read
}

func (o *ownCertificate) read() error {
	of, statErr := statAll(o.cert, o.key)
	cert, certErr := keyfile.Read(o.cert, keyfile.Key)
	key, keyErr := keyfile.Read(o.key, keyfile.Key)
	defer clear(key)
	if err := errors.Join(certErr, keyErr, statErr); err != nil {
		return fmt.Errorf("server's certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("server's certificate: %s, %s: %w", o.cert, o.key, err)
	}
	o.pair, o.of = pair, of
	return nil
}

func (o *ownCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if of, err := statAll(o.cert, o.key); err == nil && !unchanged(of, o.of) {
		_ = o.read()
	}
	pair := o.pair
	return &pair, nil
}
