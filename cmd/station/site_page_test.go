package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// readers: a token is told once, and nothing but its digest is in the site's folder.
func (w *workplace) readers() {
	w.t.Helper()
	out, _ := w.run(0, "site", "token", "add", "wall")
	if token := strings.TrimSpace(out); len(token) != 26 || strings.Contains(string(w.read("site/readers.json")), token) {
		w.t.Errorf("the token is %q, the file\n%s", token, w.read("site/readers.json"))
	}
	w.run(exitUsage, "site", "token", "add", "wall")
	out, _ = w.run(0, "site", "token", "list", "--json")
	if err := fits("site-readers/1", out); err != nil || strings.Contains(out, "sha256") {
		w.t.Errorf("%v\n%s", err, out)
	}
	if out, _ = w.run(0, "site", "token", "list"); !strings.HasPrefix(out, "wall ") {
		w.t.Errorf("list says %q", out)
	}
	w.run(0, "site", "token", "revoke", "wall")
	w.run(exitUsage, "site", "token", "revoke", "wall")
}

// pageAt starts what serves a site and its page, and says where they are. What it
// tells after that is said.
func (w *workplace) pageAt(args ...string) (cmd *exec.Cmd, at, siteAt string) {
	w.t.Helper()
	cmd = w.command(args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	said := bufio.NewReader(stderr)
	for at == "" {
		line, err := said.ReadString('\n')
		if err != nil {
			w.t.Fatalf("it ends before it says where the page is: %q", line)
		}
		if _, found, ok := strings.Cut(strings.TrimSpace(line), "site plant-1 at "); ok {
			siteAt = found
		}
		_, at, _ = strings.Cut(strings.TrimSpace(line), "page at ")
	}
	w.said = said
	return cmd, at, siteAt
}

// ended interrupts it, and wants a good end. What else it said until then is the rest.
func (w *workplace) ended(cmd *exec.Cmd) (rest string) {
	w.t.Helper()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		w.t.Fatal(err)
	}
	said, err := io.ReadAll(w.said)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		w.t.Errorf("it ends with %v", err)
	}
	return string(said)
}

// reader is a browser that trusts the site's CA.
func (w *workplace) reader(certs ...tls.Certificate) *http.Client {
	w.t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.read("site/ca.pem"))
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: certs}}}
}

// The page is served beside the site, says where, and ends with it.
func TestSitePage(t *testing.T) {
	w := newWorkplace(t)
	w.run(0, "site", "init", "--name", "plant-1", "--url", "tls://localhost:4222", "--listen", "127.0.0.1:0")
	token, _ := w.run(0, "site", "token", "add", "wall")
	cmd, at, _ := w.pageAt("site", "run", "--page", "127.0.0.1:0")
	resp, err := w.reader().PostForm(at+"/login", url.Values{"token": {strings.TrimSpace(token)}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(body), "plant-1") || strings.Contains(string(body), "name=\"token\"") {
		t.Errorf("who has a token sees %s, %v", body, err)
	}
	w.ended(cmd)
	if _, said := w.run(exitUsage, "serve", "--page", ":0"); !strings.Contains(said, "give --site") {
		t.Errorf("a page without a site: %s", said)
	}
}

// peopleCA is a CA of people, with a list of whom it does not know any more.
type peopleCA struct {
	place *workplace
	ca    *x509.Certificate
	caKey *ecdsa.PrivateKey
	cert  *x509.Certificate // of eve, in eve.pem and eve.key
	key   *ecdsa.PrivateKey
}

func newPeopleCA(w *workplace) *peopleCA {
	w.t.Helper()
	p := &peopleCA{place: w}
	p.ca, p.caKey = issue(w.t, w.dir, "people", nil, nil)
	p.cert, p.key = issue(w.t, w.dir, "eve", p.ca, p.caKey)
	p.revoke()
	return p
}

// revoke writes the list anew.
func (p *peopleCA) revoke(serials ...*big.Int) {
	p.place.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Now(), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, p.ca, p.caKey)
	if err != nil {
		p.place.t.Fatal(err)
	}
	p.place.write("people.crl", string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})))
}

// The station file of an update server has all of the page; a certificate opens it
// until a list names it.
func TestServePage(t *testing.T) {
	w := newWorkplace(t)
	w.run(0, "site", "init", "--name", "plant-1", "--url", "tls://localhost:4222", "--listen", "127.0.0.1:0")
	people := newPeopleCA(w)
	w.write("station.toml", string(w.read("station.toml"))+w.updates(people.ca, people.caKey)+`site = "site"
page = "127.0.0.1:0"
page_ca = ["people.pem"]
page_crl = ["people.crl"]
client_ca = ["people.pem"]
crl = ["people.crl"]
`)
	cmd, at, _ := w.pageAt("serve")
	line, err := w.said.ReadString('\n')
	_, doors, serves := strings.Cut(line, "serving at ")
	if doors, _, _ = strings.Cut(doors, ","); err != nil || !serves {
		t.Fatalf("it says %q, %v", line, err)
	}
	eve := w.reader(tls.Certificate{Certificate: [][]byte{people.cert.Raw}, PrivateKey: people.key})
	eve.Transport.(*http.Transport).TLSClientConfig.RootCAs.AddCert(people.ca)
	status := func(url string) int {
		resp, err := eve.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := status(at + "/releases"); got != 200 {
		t.Errorf("with a certificate: %d", got)
	}
	people.revoke(people.cert.SerialNumber)
	if got := status(at + "/releases"); got != 401 {
		t.Errorf("with one that was revoked: %d", got)
	}
	w.write("people.crl", "half a list")
	doors = strings.Replace(doors, "127.0.0.1", "localhost", 1) // the name of its certificate
	for _, url := range []string{doors + "/files/lamp/app.bin", at + "/releases", at + "/releases"} {
		if got := status(url); got != 401 {
			t.Errorf("%s with a list that cannot be read: %d", url, got)
		}
	}
	const why = "nobody is let in by a certificate: certificates: "
	rest := w.ended(cmd)
	if strings.Count(rest, "station: "+why) != 1 || strings.Count(rest, "station: page: "+why) != 1 || strings.Count(rest, "people.crl holds no X509 CRL in PEM\n") != 2 {
		t.Errorf("it says %q", rest)
	}
}

// A person can type what is said of the page into a browser that checks its certificate.
func TestPageURL(t *testing.T) {
	for _, c := range [][3]string{
		{"0.0.0.0", "tls://site.example:4222", "https://site.example:8444"},
		{"::", "tls://site.example:4222", "https://site.example:8444"},
		{"::", "tls://[2001:db8::1]:4222", "https://[2001:db8::1]:8444"},
		{"127.0.0.1", "tls://site.example:4222", "https://127.0.0.1:8444"},
	} {
		if got := pageURL(&net.TCPAddr{IP: net.ParseIP(c[0]), Port: 8444}, c[1]); got != c[2] {
			t.Errorf("%s of %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}
