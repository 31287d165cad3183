package serve

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

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
	of   time.Time // modification time of the newer of the two files, when they were read
}

func (o *ownCertificate) read() error {
	of, changedErr := o.changed()
	cert, certErr := keyfile.Read(o.cert, keyfile.Key)
	key, keyErr := keyfile.Read(o.key, keyfile.Key)
	defer clear(key)
	if err := errors.Join(certErr, keyErr, changedErr); err != nil {
		return fmt.Errorf("server's certificate: %w", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("server's certificate: %s, %s: %w", o.cert, o.key, err)
	}
	o.pair, o.of = pair, of
	return nil
}

// changed is the modification time of the newer of the two files.
func (o *ownCertificate) changed() (of time.Time, err error) {
	for _, path := range []string{o.cert, o.key} {
		info, err := os.Stat(path)
		if err != nil {
			return of, err
		}
		if info.ModTime().After(of) {
			of = info.ModTime()
		}
	}
	return of, nil
}

func (o *ownCertificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if of, err := o.changed(); err == nil && !of.Equal(o.of) {
		_ = o.read()
	}
	pair := o.pair
	return &pair, nil
}
