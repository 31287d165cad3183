package page

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/keyfile"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/serve"
	"station/internal/site"
	"station/internal/site/hub"
	"station/internal/site/outbox"
)

var madeMAC = chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}

// plant is a site with one bench, and its page.
type plant struct {
	t      *testing.T
	page   *Server
	book   *ledger.Ledger
	outbox *outbox.Outbox
	url    string
	token  string
	roots  *x509.CertPool
	caCert *x509.Certificate // of people
	caKey  *ecdsa.PrivateKey
	crl    string // file of the list of what they revoked
	status board.Status
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newPlant(t *testing.T) *plant {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	check(t, hub.Init(dir, hub.Config{Name: "plant-1", URL: "tls://localhost:4222", Listen: "127.0.0.1:0"}, nil, nil))
	folder, err := hub.Open(dir)
	check(t, err)
	at, err := folder.Start(t.Context(), func(text string) { t.Log(text) })
	check(t, err)
	t.Cleanup(at.Close)
	file := filepath.Join(t.TempDir(), "pass")
	check(t, errors.Join(folder.Add("bench-1", file, false), folder.Apply(t.Context())))
	pass, err := site.ReadPass(file)
	check(t, err)
	t.Cleanup(pass.Destroy)
	pass.URL = "tls://" + at.Address()
	p := &plant{t: t}
	p.book, err = ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Station: "bench-1", Software: "test"})
	check(t, err)
	t.Cleanup(func() { p.book.Close() })
	p.outbox = &outbox.Outbox{Pass: pass, Ledger: p.book, Again: time.Millisecond}
	p.page = &Server{Name: "plant-1", Site: at, Readers: &Readers{Path: filepath.Join(dir, "readers.json")}, Tell: func(text string) { t.Error(text) }}
	p.token, err = p.page.Readers.Add("anna")
	check(t, err)
	p.serve(dir)
	return p
}

// serve serves the page at a real port, with the site's own certificate.
func (p *plant) serve(dir string) {
	own, err := serve.OwnCertificate(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"))
	check(p.t, err)
	ca, err := keyfile.ReadCertificate(filepath.Join(dir, "ca.pem"))
	check(p.t, err)
	p.roots = x509.NewCertPool()
	p.roots.AddCert(ca)
	p.caKey, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(p.t, err)
	people := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "people"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true, SubjectKeyId: []byte("people"), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign}
	der, err := x509.CreateCertificate(rand.Reader, people, people, p.caKey.Public(), p.caKey)
	check(p.t, err)
	p.caCert, err = x509.ParseCertificate(der)
	check(p.t, err)
	file := filepath.Join(dir, "people.pem")
	p.crl = filepath.Join(dir, "people.crl")
	check(p.t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	p.revokes()
	p.page.Certified, err = serve.ReadCertificates([]string{file}, []string{p.crl})
	check(p.t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(p.t, err)
	p.url = "https://" + l.Addr().String()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.page.Listen(ctx, l, own) }()
	p.t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			p.t.Error(err)
		}
	})
}

// revokes writes the list of the people's certificates that are good no more.
func (p *plant) revokes(serials ...int64) {
	p.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: big.NewInt(n), RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.caCert, p.caKey)
	check(p.t, err)
	check(p.t, os.WriteFile(p.crl, pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600))
}

// visit writes a device into the bench's ledger, and sends it to the site.
func (p *plant) visit() {
	p.t.Helper()
	_, err := p.book.AppendAll([]record.Entry{{Kind: record.DeviceSeen, MAC: madeMAC, Run: "a"}, {Kind: record.SerialBound, MAC: madeMAC, Run: "a", Serial: "SN-0007"},
		{Kind: record.Failed, MAC: madeMAC, Run: "a", Verdict: record.Retry, Code: "E-BAUD", Operator: "anna"}})
	check(p.t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(p.t, err)
	_, err = p.book.Checkpoint(key)
	check(p.t, err)
	_, err = p.outbox.Push(p.t.Context())
	check(p.t, err)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if l := p.page.Site.Replicas().Ledger("bench-1"); l != nil {
			if _, _, err := l.Prove(madeMAC); err == nil {
				return
			}
		}
		if time.Now().After(deadline) {
			p.t.Fatal("the site can prove nothing of the bench")
		}
	}
}

// online keeps the bench connected until the test ends.
func (p *plant) online() {
	p.t.Helper()
	up := make(chan struct{}, 1)
	p.outbox.Told = func(s outbox.Status) {
		if s.State == outbox.Up {
			select {
			case up <- struct{}{}:
			default:
			}
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.outbox.Run(ctx) }()
	p.t.Cleanup(func() { stop(); <-done })
	<-up
}

// does tells the site what the bench does.
func (p *plant) does(events ...flow.Event) {
	p.t.Helper()
	told := p.page.Site.Told()
	for _, e := range events {
		p.status.Apply(e)
	}
	data, err := json.Marshal(p.status.Live())
	check(p.t, err)
	check(p.t, p.outbox.Live(data))
	select {
	case <-told:
	case <-time.After(30 * time.Second):
		p.t.Fatal("the site was not told")
	}
}

func (p *plant) client(certs ...tls.Certificate) *http.Client {
	jar, err := cookiejar.New(nil)
	check(p.t, err)
	t := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots, Certificates: certs}}
	p.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Jar: jar, Transport: t}
}

func (p *plant) get(c *http.Client, path string, head ...string) (int, string, http.Header) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), "GET", p.url+path, nil)
	check(p.t, err)
	r.Header.Set("Accept", "text/html")
	for i := 0; i+1 < len(head); i += 2 {
		r.Header.Set(head[i], head[i+1])
	}
	resp, err := c.Do(r)
	check(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(p.t, err)
	return resp.StatusCode, string(body), resp.Header
}

func (p *plant) post(c *http.Client, path string, form url.Values) (int, string) {
	p.t.Helper()
	resp, err := c.PostForm(p.url+path, form)
	check(p.t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	check(p.t, err)
	return resp.StatusCode, string(body)
}

func (p *plant) login(c *http.Client, token string) (int, string) {
	p.t.Helper()
	return p.post(c, "/login", url.Values{"token": {token}})
}
