package serve

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/release"
	"station/internal/station"
	"station/internal/store"
)

// site is a server on a real ledger and a real store, over TLS.
type site struct {
	t       testing.TB
	dir     string
	ledger  string
	store   *store.Store
	server  *Server
	url     string
	ca      *authority
	roots   *x509.CertPool
	access  *bytes.Buffer
	devices []chip.MAC
	stop    func() error
	plain   *http.Client
	mu      sync.Mutex
	born    time.Time
}

// authority is a CA with a key of its own.
type authority struct {
	t     testing.TB
	key   *ecdsa.PrivateKey
	cert  *x509.Certificate
	chain [][]byte // from it to below the CA that is trusted, which has none
	next  int64
}

func newAuthority(t testing.TB, name string) *authority { return authorityOf(t, name, nil) }

// sub is a CA that the authority certifies.
func (a *authority) sub(name string) *authority { return authorityOf(a.t, name, a) }

// authorityOf is a CA that another one certifies, or itself.
func authorityOf(t testing.TB, name string, by *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, key: key, next: 100}
	a.cert = &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte(name)}
	issuer := a
	if by != nil {
		by.next++
		issuer, a.cert.SerialNumber = by, big.NewInt(by.next)
	}
	der, err := x509.CreateCertificate(rand.Reader, a.cert, issuer.cert, &key.PublicKey, issuer.key)
	if err == nil {
		a.cert, err = x509.ParseCertificate(der)
	}
	if err != nil {
		t.Fatal(err)
	}
	if by != nil {
		a.chain = append([][]byte{der}, by.chain...)
	}
	return a
}

// issue makes a certificate for a name that is good until then.
func (a *authority) issue(name string, until time.Time, use x509.ExtKeyUsage, ips ...net.IP) tls.Certificate {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	a.next++
	c := &x509.Certificate{SerialNumber: big.NewInt(a.next), Subject: pkix.Name{CommonName: name}, IPAddresses: ips, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until, ExtKeyUsage: []x509.ExtKeyUsage{use}, KeyUsage: x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, c, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	return tls.Certificate{Certificate: append([][]byte{der}, a.chain...), PrivateKey: key}
}

func (a *authority) write(path string) string {
	a.t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw}), 0o644); err != nil {
		a.t.Fatal(err)
	}
	return path
}

const jobDigest = "sha256:4444444444444444444444444444444444444444444444444444444444444444"

// visitOf are the entries of a device of the product lamp that was sealed, or came not so far.
func visitOf(mac chip.MAC, sealed bool) []record.Entry {
	locked := record.Fuses{{Name: "BLOCK0", Words: strings.Fields("07f10088 c4010203 0038240a 0000a200 00000136 f0000000 000003c4")}, {Name: "BLOCK1", State: "hidden"}}
	const id = "shared:fleet:0102030405060708"
	list := []record.Entry{
		{Kind: record.DeviceSeen, Step: "connect", Identity: &chip.Identity{MAC: mac, Revision: 300}},
		{Kind: record.NumberTaken, Step: "key", Undeclared: true},
		{Kind: record.KeyAssigned, Step: "key", Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "shared"}}},
		{Kind: record.FlashVerified, Step: "flash", Keys: record.FlashKey(id), Images: []record.Image{{Name: "app", Address: 0x10000, Size: 16, Encrypted: true,
			Partition: "factory", Slot: "factory", Plain: "sha256:" + strings.Repeat("a", 64), Flash: fmt.Sprintf("sha256:%064x", mac[:]), Version: "1.0.0", SecureVersion: new(uint32)}}},
	}
	if sealed {
		list = append(list, record.Entry{Kind: record.Sealed, Step: "seal", Keys: record.FlashKey(id), Verdict: record.Pass, Fuses: locked})
	}
	for i := range list {
		e := &list[i]
		e.MAC, e.Batch, e.Job, e.Revision, e.JobHash = mac, "b1", "lamp", "4", jobDigest
		e.Slot, e.Run, e.Operator = "1", fmt.Sprintf("run-%x", mac[:]), "anna"
	}
	return list
}

func macOf(i int) chip.MAC { return chip.MAC{0x24, 0x0a, 0xc4, byte(i >> 16), byte(i >> 8), byte(i)} }

func secretOf(mac chip.MAC) string { return "secret-of-" + mac.String() }

const authorSecret = "a secret of anna's"

// newSite has n sealed devices; the files and the ledger are real.
func newSite(t testing.TB, n int) *site {
	t.Helper()
	w := &site{t: t, dir: t.TempDir(), access: &bytes.Buffer{}}
	w.ledger = filepath.Join(w.dir, "ledger.db")
	if err := ledger.Create(w.ledger, record.Entry{Operator: "anna", Station: "bench-1"}); err != nil {
		t.Fatal(err)
	}
	var list []record.Entry
	for i := range n {
		w.devices = append(w.devices, macOf(i))
		list = append(list, visitOf(macOf(i), true)...)
	}
	w.enter(list...)
	var err error
	if w.store, err = store.Open(filepath.Join(w.dir, "store")); err != nil {
		t.Fatal(err)
	}
	w.ca = newAuthority(t, "line CA")
	w.revoke(w.ca)
	w.start()
	return w
}

// enter writes entries as the line would.
func (w *site) enter(list ...record.Entry) {
	w.t.Helper()
	book, err := ledger.Open(w.ledger, ledger.Options{Station: "bench-1"})
	if err != nil {
		w.t.Fatal(err)
	}
	defer book.Close()
	if _, err := book.AppendAll(list); err != nil {
		w.t.Fatal(err)
	}
}

// identities are both ways in which a device shows who it is.
type identities struct {
	TokenFile
	*Certificates
}

// crl is the file of the certificates that the CA revoked.
func (w *site) crl() string { return filepath.Join(w.dir, "line.crl") }

// revoke writes that list, as the CA signs it. Its time is over: it counts all the same.
func (w *site) revoke(by *authority, gone ...tls.Certificate) {
	w.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now().Add(-2 * time.Hour), NextUpdate: time.Now().Add(-time.Hour)}
	for _, c := range gone {
		cert, err := x509.ParseCertificate(c.Certificate[0])
		if err != nil {
			w.t.Fatal(err)
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, by.cert, by.key)
	if err == nil {
		err = os.WriteFile(w.crl(), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// start starts the server.
func (w *site) start() {
	w.t.Helper()
	book, err := station.OpenFieldLedger(w.ledger, "bench-1", "test")
	if err != nil {
		w.t.Fatal(err)
	}
	var tokens strings.Builder
	for i := range 300 { // also of devices that nobody knows
		mac := macOf(i)
		fmt.Fprintf(&tokens, "%s sha256:%x\n", mac, sha256.Sum256([]byte(secretOf(mac))))
	}
	hash, err := bcrypt.GenerateFromPassword([]byte(authorSecret), bcrypt.MinCost)
	if err != nil {
		w.t.Fatal(err)
	}
	files := map[string][]byte{"tokens": []byte(tokens.String()), "authors": append([]byte("# who\nanna:"), hash...)}
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(w.dir, name), data, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	known, err1 := ReadTokens(filepath.Join(w.dir, "tokens"))
	authors, err2 := ReadAuthors(filepath.Join(w.dir, "authors"))
	certs, err3 := ReadCertificates([]string{w.ca.write(filepath.Join(w.dir, "ca.pem"))}, []string{w.crl()})
	l, err4 := net.Listen("tcp", "127.0.0.1:0")
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			w.t.Fatal(err)
		}
	}
	own := w.ca.issue("server", time.Now().Add(time.Hour), x509.ExtKeyUsageServerAuth, net.IPv4(127, 0, 0, 1))
	w.server = &Server{Store: w.store, Ledger: book, Identities: identities{known, certs}, Authors: authors, Access: slog.New(slog.NewJSONHandler(w.access, nil))}
	w.roots = x509.NewCertPool()
	w.roots.AddCert(w.ca.cert)
	w.url = "https://" + l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- w.server.Listen(ctx, l, func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return &own, nil }, certs.Pool(), 0)
	}()
	ended := false
	w.stop = func() error {
		if ended {
			return nil
		}
		ended = true
		cancel()
		return <-done
	}
	w.t.Cleanup(func() {
		if err := w.stop(); err != nil {
			w.t.Error(err)
		}
		book.Close()
	})
}

// client is one with or without a certificate.
func (w *site) client(certs ...tls.Certificate) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: w.roots, Certificates: certs}, ForceAttemptHTTP2: true}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// who adds a credential to a request.
type who func(*http.Request)

func nobody(*http.Request) {}

func anna(r *http.Request) { r.SetBasicAuth("anna", authorSecret) }

func device(mac chip.MAC) who {
	return func(r *http.Request) { r.SetBasicAuth(mac.String(), secretOf(mac)) }
}

func target(mac chip.MAC) who {
	return func(r *http.Request) { r.Header.Set("Authorization", "TargetToken "+secretOf(mac)) }
}

// said is an answer.
type said struct {
	*http.Response
	body []byte
}

// do asks and reads the answer, which has to have that status.
func (w *site) do(as who, status int, method, path string, body io.Reader, headers ...string) said {
	w.t.Helper()
	w.mu.Lock()
	if w.plain == nil {
		w.plain = w.client()
	}
	w.mu.Unlock()
	return w.doWith(w.plain, as, status, method, path, body, headers...)
}

func (w *site) doWith(c *http.Client, as who, status int, method, path string, body io.Reader, headers ...string) said {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	as(r)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := c.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if resp.StatusCode != status {
		w.t.Errorf("%s %s: got %d %s, want %d", method, path, resp.StatusCode, data, status)
	}
	return said{resp, data}
}

// entries are those of a kind, with what they are about.
func (w *site) entries(kind record.Kind) (list []record.Entry, fields []record.Field) {
	w.t.Helper()
	book, err := ledger.Open(w.ledger, ledger.Options{ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer book.Close()
	for e, err := range book.Entries(0) {
		if err != nil {
			w.t.Fatal(err)
		}
		if e.Kind == kind {
			var f record.Field
			if err := json.Unmarshal(e.About, &f); err != nil {
				w.t.Fatal(err)
			}
			list, fields = append(list, e), append(fields, f)
		}
	}
	return list, fields
}

// put stores bytes and returns a form of them.
func (w *site) put(kind release.Kind, data []byte) release.Form {
	w.t.Helper()
	d, n, err := w.store.Put(bytes.NewReader(data), 1<<30)
	if err != nil {
		w.t.Fatal(err)
	}
	return release.Form{Kind: kind, Size: n, SHA256: string(d)}
}

// release puts a release of the product lamp there, by its author's door, and
// hands it out to so many per cent.
func (w *site) release(id int64, version string, percent int, change func(*release.Release), forms ...release.Form) *release.Release {
	w.t.Helper()
	r := &release.Release{Format: release.Format, ID: id, Product: "lamp", Name: "lamp-fw", Version: version, Jobs: []string{jobDigest}, Forms: forms}
	if change != nil {
		change(r)
	}
	w.do(anna, http.StatusNoContent, "PUT", fmt.Sprintf("/v1/releases/lamp/%d", id), bytes.NewReader(r.JSON()))
	w.hand(release.Rollout{Product: "lamp", Release: id, Percent: percent, State: release.Running, Samples: 4, Failures: 50})
	return r
}

// sealedWith is a release of the app that the devices were sealed with. It goes
// into the store by itself: the author's door holds an app against its digest.
func (w *site) sealedWith(id int64, form release.Form) {
	w.t.Helper()
	r := &release.Release{Format: release.Format, ID: id, Product: "lamp", Name: "lamp-fw", Version: "2.0.0", App: "sha256:" + strings.Repeat("a", 64), Jobs: []string{jobDigest}, Forms: []release.Form{form}}
	if _, err := w.store.Set(release.Key(r.Product, id), r.JSON(), 0); err != nil {
		w.t.Fatal(err)
	}
	w.hand(release.Rollout{Product: "lamp", Release: id, Percent: 100, State: release.Running, Samples: 4, Failures: 50})
}

// hand sets a rollout.
func (w *site) hand(r release.Rollout) {
	w.t.Helper()
	_, revision, err := w.store.Get(release.RolloutKey(r.Product, r.Release))
	if err != nil {
		revision = 0
	}
	if _, err := w.store.Set(release.RolloutKey(r.Product, r.Release), r.JSON(), revision); err != nil {
		w.t.Fatal(err)
	}
}
