package page

import (
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"

	"station/internal/serve"
)

// Certified says who may read by a certificate: of whose CA it is, and which of
// them were revoked since. The lists are read again when their files change, so
// that who is in one of them is out.
type Certified struct {
	cas, lists []string // files

	mu    sync.Mutex
	read  *serve.Certificates
	of    []fs.FileInfo // of the lists that were read
	fault error         // why the newest lists cannot be read
}

// ReadCertified reads CAs and the lists of what they revoked, in PEM; of lists there may be none.
func ReadCertified(cas, lists []string) (*Certified, error) {
	c := &Certified{cas: cas, lists: lists}
	c.again()
	return c, c.fault
}

// Pool is the CAs.
func (c *Certified) Pool() *x509.CertPool { return c.read.Pool }

// again reads the files, if a list is another one than before or could not be read,
// and tells whether it did.
func (c *Certified) again() bool {
	of, err := statAll(c.lists)
	if err == nil && c.fault == nil && c.of != nil && slices.EqualFunc(of, c.of, same) {
		return false
	}
	var read *serve.Certificates
	if err == nil {
		read, err = serve.ReadCertificates(c.cas, c.lists)
	}
	c.of = of
	if c.fault = err; err == nil {
		c.read = read
	}
	return true
}

func statAll(files []string) ([]fs.FileInfo, error) {
	list := []fs.FileInfo{}
	for _, path := range files {
		info, err := os.Stat(path)
		if err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
		list = append(list, info)
	}
	return list, nil
}

func same(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// knows tells whether one of the chains that TLS has verified is of nobody who was
// revoked. While a list cannot be read there is none; fault is told once.
func (c *Certified) knows(chains [][]*x509.Certificate) (known bool, fault error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if was := c.fault; c.again() && c.fault != nil && (was == nil || was.Error() != c.fault.Error()) {
		fault = c.fault
	}
	return c.fault == nil && slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool { return !slices.ContainsFunc(chain, c.read.Revoked) }), fault
}
