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

// OwnCertificate is the server's own, of two files in PEM. When they change it
// is read again, so that it can be renewed while the server runs; a pair that
// does not fit is left alone until it does.
func OwnCertificate(certPath, keyPath string) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	o := &own{cert: certPath, key: keyPath}
	if err := o.read(); err != nil {
		return nil, err
	}
	return o.get, nil
}

type own struct {
	cert, key string

	mu   sync.Mutex
	pair tls.Certificate
	of   time.Time // when the newer of the files was written
}

func (o *own) read() error {
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

func (o *own) changed() (of time.Time, err error) {
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

func (o *own) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if of, err := o.changed(); err == nil && !of.Equal(o.of) {
		_ = o.read()
	}
	pair := o.pair
	return &pair, nil
}
