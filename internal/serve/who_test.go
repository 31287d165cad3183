package serve

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"station/internal/record"
	"station/internal/release"
)

// Nobody is served without a credential, and a device only if the ledger lets it in.
// Each refusal is one entry of the ledger.
func TestWho(t *testing.T) {
	w := newSite(t, 3)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("app")))
	const path = "/files/lamp/app.bin"
	known, unsealed, aside, stranger, revoked := w.devices[0], macOf(100), macOf(101), macOf(102), macOf(103)
	w.enter(visitOf(unsealed, false)...)
	w.enter(append(visitOf(aside, true), record.Entry{Kind: record.Failed, MAC: aside, Job: "lamp", Verdict: record.Quarantine, Code: "E-CHIP-STATE", Message: "odd", Operator: "anna"})...)
	identity := record.Identity{ID: "00"}
	made := visitOf(revoked, true)
	w.enter(slices.Insert(made, 3, record.Entry{Kind: record.IdentityMade, MAC: revoked, Job: "lamp", Revision: "4", JobHash: jobDigest, Batch: "b1", Operator: "anna", About: record.NamesIdentity(identity)})...)
	w.do(device(revoked), 200, "GET", path, nil)
	w.enter(record.Entry{Kind: record.IdentityRevoked, MAC: revoked, Operator: "eve", Message: "stolen", About: record.NamesIdentity(identity)})
	wrong := func(r *http.Request) { r.SetBasicAuth(known.String(), "guessed") }
	for name, as := range map[string]who{
		"nobody": nobody, "wrong": wrong, "author": anna,
		"another's": func(r *http.Request) { r.SetBasicAuth(known.String(), secretOf(w.devices[1])) },
		"no secret": func(r *http.Request) { r.SetBasicAuth(known.String(), "") },
		"no MAC":    func(r *http.Request) { r.SetBasicAuth("lamp", "x") },
		"no device": func(r *http.Request) { r.Header.Set("Authorization", "TargetToken "+secretOf(known)) },
		"gateway":   func(r *http.Request) { r.Header.Set("Authorization", "GatewayToken "+secretOf(known)) },
	} {
		if got := w.do(as, 401, "GET", path, nil); strings.Contains(string(got.body), "app") {
			t.Errorf("%s: got %s", name, got.body)
		}
	}
	dashed := func(r *http.Request) { r.SetBasicAuth(strings.ReplaceAll(known.String(), ":", ""), secretOf(known)) }
	w.do(dashed, 200, "GET", path, nil)
	w.do(device(known), 200, "GET", path, nil)
	for range 3 {
		w.do(device(stranger), 403, "GET", path, nil)
		w.do(device(unsealed), 403, "GET", path, nil)
		w.do(device(aside), 403, "GET", path, nil)
		w.do(device(revoked), 403, "GET", path, nil)
	}
	// As often as it likes, and at the same time.
	late := macOf(104)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() { w.do(device(late), 403, "GET", path, nil) })
	}
	wg.Wait()
	// A device sees nothing of another one.
	w.do(device(known), 403, "GET", "/default/controller/v1/"+w.devices[1].String(), nil)
	w.do(target(known), 401, "GET", "/default/controller/v1/"+w.devices[1].String(), nil)
	var refused []string
	entries, fields := w.entries(record.UpdateRefused)
	for i, f := range fields {
		refused = append(refused, f.MAC+" "+entries[i].Message)
	}
	want := []string{stranger.String() + " the ledger does not know it", unsealed.String() + " it was never sealed", aside.String() + " it was set aside",
		revoked.String() + " it was revoked", late.String() + " the ledger does not know it"}
	if !slices.Equal(refused, want) {
		t.Errorf("entries\n got %q\nwant %q", refused, want)
	}
	// What the ledger knows nothing of, it does not know by this either.
	if _, known, err := w.server.Ledger.Device(stranger); err != nil || known {
		t.Errorf("the ledger knows the stranger: %t, %v", known, err)
	}
	if log := w.access.String(); strings.Contains(log, "secret") || strings.Contains(log, "guessed") || !strings.Contains(log, `"status":403`) {
		t.Errorf("the log: %s", log)
	}
}

// A device that was sealed without an identity and is revoked by its MAC is refused by
// each protocol, whatever its credential, and may not report anything either.
func TestRevokedByItsMAC(t *testing.T) {
	w := newSite(t, 2)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("app")))
	lost := w.devices[0]
	w.do(device(lost), 200, "GET", "/files/lamp/app.bin", nil)
	w.enter(record.Entry{Kind: record.IdentityRevoked, MAC: lost, Operator: "dana", Message: "lost on the way", About: record.NamesIdentity(record.Identity{})})
	certified := w.client(w.ca.issue(lost.String(), time.Now().Add(time.Hour), x509.ExtKeyUsageClientAuth))
	ddi := "/default/controller/v1/" + lost.String()
	for _, ask := range []string{"GET /update/newest/manifest?deviceType=lamp", "GET /update/newest/binary?deviceType=lamp", "GET /files/lamp/app.bin", "HEAD /files/lamp/app.bin", "POST /files/lamp/result",
		"GET " + ddi, "PUT " + ddi + "/configData", "GET " + ddi + "/deploymentBase/7", "POST " + ddi + "/deploymentBase/7/feedback", "GET " + ddi + "/cancelAction/7",
		"POST " + ddi + "/cancelAction/7/feedback", "GET " + ddi + "/softwaremodules/7/artifacts", "GET " + ddi + "/softwaremodules/7/artifacts/app.bin"} {
		method, path, _ := strings.Cut(ask, " ")
		if got := w.do(device(lost), 403, method, path, nil); method != "HEAD" && string(got.body) != "it was revoked\n" {
			t.Errorf("%s: got %s", ask, got.body)
		}
		w.doWith(certified, nobody, 403, method, path, nil)
		if strings.HasPrefix(path, ddi) {
			w.do(target(lost), 403, method, path, nil)
		}
	}
	w.do(device(w.devices[1]), 200, "GET", "/files/lamp/app.bin", nil)
	entries, fields := w.entries(record.UpdateRefused)
	if len(entries) != 1 || fields[0].MAC != lost.String() || entries[0].Message != "it was revoked" {
		t.Errorf("entries %+v, %+v", entries, fields)
	}
}

// A certificate of the line's CA is accepted like a token, until it expires.
func TestCertificates(t *testing.T) {
	w := newSite(t, 2)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("app")))
	const path = "/files/lamp/app.bin"
	later := time.Now().Add(time.Hour)
	good := w.ca.issue(w.devices[0].String(), later, x509.ExtKeyUsageClientAuth)
	nameless := w.ca.issue("lamp", later, x509.ExtKeyUsageClientAuth)
	if got := w.doWith(w.client(good), nobody, 200, "GET", path, nil); string(got.body) != "app" {
		t.Errorf("got %s", got.body)
	}
	w.doWith(w.client(nameless), nobody, 401, "GET", path, nil)
	w.doWith(w.client(good), anna, 200, "GET", "/v1/releases/lamp", nil) // a person at a device's machine
	other := newAuthority(t, "another CA")
	for name, cert := range map[string]tls.Certificate{
		"over":      w.ca.issue(w.devices[0].String(), time.Now().Add(-time.Hour), x509.ExtKeyUsageClientAuth),
		"server's":  w.ca.issue(w.devices[0].String(), later, x509.ExtKeyUsageServerAuth),
		"another's": other.issue(w.devices[0].String(), later, x509.ExtKeyUsageClientAuth),
	} {
		client := w.client()
		client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		if resp, err := client.Get(w.url + path); err == nil {
			resp.Body.Close()
			t.Errorf("%s: got %d", name, resp.StatusCode)
		}
	}
}

// From the first request after a list of revoked certificates names it, or a CA above
// it, a certificate is not accepted. While a list cannot be read none is.
func TestRevokedCertificates(t *testing.T) {
	w := newSite(t, 3)
	w.release(7, "1.2.0", 100, nil, w.put(release.KindApp, []byte("app")))
	var told []string
	w.server.Identities.(identities).Tell = func(fault error) { told = append(told, fault.Error()) }
	later := time.Now().Add(time.Hour)
	middle := w.ca.sub("bench CA")
	first, second, third := w.devices[0], w.devices[1], w.devices[2]
	one := w.client(w.ca.issue(first.String(), later, x509.ExtKeyUsageClientAuth))
	gone := w.ca.issue(second.String(), later, x509.ExtKeyUsageClientAuth)
	two := w.client(gone)
	three := w.client(middle.issue(third.String(), later, x509.ExtKeyUsageClientAuth))
	get := func(c *http.Client, as who, want int) {
		t.Helper()
		w.doWith(c, as, want, "GET", "/files/lamp/app.bin", nil)
	}
	in := func(wants ...int) {
		t.Helper()
		for i, c := range []*http.Client{one, two, three} {
			get(c, nobody, wants[i])
		}
	}
	in(200, 200, 200)
	w.revoke(w.ca, gone)
	in(200, 401, 200)
	get(two, device(second), 200) // as none: its token counts
	w.revoke(w.ca, gone, tls.Certificate{Certificate: [][]byte{middle.cert.Raw}})
	in(200, 401, 401)
	if len(told) != 0 {
		t.Errorf("told %q", told)
	}
	w.revoke(newAuthority(t, "another CA"), gone)
	in(401, 401, 401)
	get(one, device(first), 200)
	if len(told) != 1 || !strings.HasPrefix(told[0], "nobody is let in by a certificate: ") || !strings.HasSuffix(told[0], "line.crl: none of the CAs signed it") {
		t.Errorf("told %q", told)
	}
	if err := os.Remove(w.crl()); err != nil {
		t.Fatal(err)
	}
	in(401, 401, 401)
	if len(told) != 2 {
		t.Errorf("told %q", told)
	}
	w.revoke(w.ca, gone)
	in(200, 401, 200)
}

// Reading a file of credentials names all its faults.
func TestCredentialFiles(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) string {
		path := filepath.Join(dir, "f")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	_, err := ReadAuthors(write("anna:plain\n\n# note\n:x\n"))
	if err == nil || !strings.Contains(err.Error(), "f:1: want NAME:HASH") || !strings.Contains(err.Error(), "f:4:") {
		t.Errorf("authors: %v", err)
	}
	_, err = ReadTokens(write("24:0a:c4:01:02:03 sha256:00\nlamp sha256:" + strings.Repeat("0", 64) + "\n"))
	if err == nil || !strings.Contains(err.Error(), "f:1: want MAC") || !strings.Contains(err.Error(), "f:2:") {
		t.Errorf("tokens: %v", err)
	}
	if _, err := ReadCertificates([]string{write("no PEM")}, nil); err == nil || !strings.Contains(err.Error(), "holds no CERTIFICATE") {
		t.Errorf("CA: %v", err)
	}
	if _, err := ReadCertificates([]string{newAuthority(t, "CA").write(filepath.Join(dir, "ca.pem"))}, []string{filepath.Join(dir, "none")}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a list that is not there: %v", err)
	}
	a := &AuthorFile{}
	if a.Author("anna", strings.Repeat("x", 73)) || a.Author("eve", "") {
		t.Error("somebody got in")
	}
}

// FuzzTokens and authors: whatever stands in the files, there is an answer.
func FuzzTokens(f *testing.F) {
	f.Add([]byte("24:0a:c4:01:02:03 sha256:" + strings.Repeat("0", 64)))
	f.Add([]byte("anna:$2y$05$abc\n#"))
	path := filepath.Join(f.TempDir(), "f")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if tokens, err := ReadTokens(path); err == nil && len(tokens) > bytes.Count(b, []byte("\n"))+1 {
			t.Error("more tokens than lines")
		}
		_, _ = ReadAuthors(path)
	})
}
