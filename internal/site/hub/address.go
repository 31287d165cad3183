package hub

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"sync/atomic"
	"time"

	"station/internal/keyfile"
	"station/internal/site"
)

// Moved is what a new address changes besides.
type Moved struct {
	Certified bool // the server's certificate was issued anew
	Listens   bool // Config.Listen is another one, from the next start on
}

// Move gives the site another address, which benches hear of from the running site. The
// certificate of the server gets its name, where the site's own CA made it; the names that
// are in it stay, because benches come by them until they have heard. ErrNotRunning: it was
// given, and the site tells the benches when it runs.
func (f *Folder) Move(ctx context.Context, to string) (m Moved, err error) {
	at, err := site.CheckURL(to)
	if err != nil {
		return m, wrapped("address", err)
	}
	return m, keyfile.Alone(f.Dir, func() error { return f.move(ctx, at, &m) })
}

func (f *Folder) move(ctx context.Context, at *url.URL, m *Moved) error {
	now, err := Open(f.Dir) // somebody may have moved it meanwhile
	if err == nil {
		f.Config = now.Config
		m.Certified, err = f.certifyFor(at.Hostname())
	}
	if err == nil {
		m.Listens = f.moveTo(at)
		err = f.writeJSON("site.json", f.Config)
	}
	if err != nil {
		return wrapped("address", err)
	}
	// The admin comes by the name that it has until the server has the other one.
	told := f.Apply(ctx)
	if told != nil && !errors.Is(told, ErrNotRunning) {
		return told
	}
	if err := f.moveAdmin(); err != nil {
		return wrapped("address", err)
	}
	return told
}

// moveTo changes the address, and the port at which the site listens where that is only
// the address's.
func (f *Folder) moveTo(at *url.URL) (listens bool) {
	was, err := url.Parse(f.URL)
	if err == nil && f.Listen == ":"+was.Port() && was.Port() != at.Port() {
		f.Listen, listens = ":"+at.Port(), true
	}
	since := now()
	if !since.After(f.Since) { // of two in one second, or of a clock that was set back, the later one holds
		since = f.Since.Add(time.Second)
	}
	f.URL, f.Since = at.String(), since
	return listens
}

func (f *Folder) moveAdmin() error {
	path := f.path("admin.pass")
	pass, err := site.ReadPass(path)
	if err != nil {
		return err
	}
	defer pass.Destroy()
	pass.Address = f.address()
	return pass.Renew(path)
}

func (f *Folder) address() site.Address { return site.Address{URL: f.URL, Since: f.Since} }

// certifyFor issues the server's certificate anew, for its key, where a name is not in it.
func (f *Folder) certifyFor(name string) (bool, error) {
	had, err := keyfile.ReadCertificate(f.path("server.pem"))
	if err != nil || had.VerifyHostname(name) == nil {
		return false, err
	}
	caKey, err := keyfile.ReadPrivate(f.path("ca.key"))
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%s is not in the server's certificate, which is none of the site's own CA; let that CA make one with this name and the ones of now, stop the site, put it into %s and its key into %s, and give this command again", name, f.path("server.pem"), f.path("server.key"))
	}
	if err != nil {
		return false, err
	}
	ca, err := keyfile.ReadCertificate(f.path("ca.pem"))
	if err != nil {
		return false, err
	}
	wanted := certificate(name)
	wanted.NotAfter, wanted.KeyUsage, wanted.ExtKeyUsage = ca.NotAfter, had.KeyUsage, had.ExtKeyUsage
	wanted.DNSNames, wanted.IPAddresses = had.DNSNames, had.IPAddresses
	addName(wanted, name)
	der, err := x509.CreateCertificate(rand.Reader, wanted, ca, had.PublicKey, caKey)
	if err != nil {
		return false, err
	}
	return true, keyfile.Replace(f.path("server.pem"), 0o644, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// standing is where the running site is: what it says of it, and by which certificate it is
// known. Both are read again with the folder.
type standing struct {
	site.Address
	note []byte // for benches; nil where it is where it began
	pair tls.Certificate
}

// stand reads where the site is.
func (f *Folder) stand() (*standing, error) {
	here, err := Open(f.Dir)
	if err != nil {
		return nil, err
	}
	s := &standing{Address: here.address()}
	if s.pair, err = tls.LoadX509KeyPair(f.path("server.pem"), f.path("server.key")); err != nil || s.Since.IsZero() {
		return s, err
	}
	witness, err := f.Witness()
	if err == nil {
		s.note, err = s.Sign(f.Name, witness)
	}
	return s, err
}

// stands is the standing of a running site.
type stands struct{ atomic.Pointer[standing] }

func (s *stands) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return &s.Load().pair, nil
}

// addressFor is what a bench that asks has to know of where the site is; nil is nothing.
func (m *mirror) addressFor(question string, data []byte) []byte {
	if question != site.Meet && question != site.Go && question != site.Notices {
		return nil
	}
	q, err := site.Parse[site.Knows](data)
	if err != nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known.Knows.Equal(q.Since) {
		m.known.Knows = q.Since
		if err := m.save(); err != nil {
			m.hub.Tell(err.Error())
		}
	}
	if at := m.hub.stands.Load(); at.Since.After(q.Since) {
		return at.note
	}
	return nil
}
