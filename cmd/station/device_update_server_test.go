package main

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	field "station/internal/release"
	"station/internal/store"
)

// updateServer is a running station serve.
type updateServer struct {
	t      *testing.T
	url    string
	client *http.Client
	store  string
	id     int64 // of the last release
	at     func(name string) string
	pid    int
}

const authorPassword = "correct horse"

// serveUpdates starts station serve, and gives the device what it needs to
// reach it: a certificate that names its MAC.
func (w *workplace) serveUpdates(d *fieldDevice, mac string, more ...string) *updateServer {
	w.t.Helper()
	s := w.serve(mac, more...)
	d.server = []string{"--server", strings.TrimPrefix(s.url, "https://"), "--ca", s.at("ca.pem"), "--cert", s.at(mac + ".pem"), "--key", s.at(mac + ".key")}
	return s
}

// serve starts station serve for a device of that MAC.
func (w *workplace) serve(mac string, more ...string) *updateServer {
	w.t.Helper()
	dir := w.t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	ca, caKey := issue(w.t, dir, "ca", nil, nil)
	issue(w.t, dir, "localhost", ca, caKey)
	issue(w.t, dir, mac, ca, caKey)
	hash, err := bcrypt.GenerateFromPassword([]byte(authorPassword), bcrypt.MinCost)
	if err := errors.Join(err, os.WriteFile(at("authors"), fmt.Appendf(nil, "anna:%s\n", hash), 0o600)); err != nil {
		w.t.Fatal(err)
	}
	cmd := w.command(append([]string{"serve", "--listen", "127.0.0.1:0", "--cert", at("localhost.pem"), "--key", at("localhost.key"), "--authors", at("authors"),
		"--client-ca", at("ca.pem"), "--store", at("releases")}, more...)...)
	said, err := cmd.StderrPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, said)
		if err := cmd.Wait(); err != nil {
			w.t.Errorf("station serve: %v", err)
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	_, after, ok := strings.Cut(line, "https://127.0.0.1:")
	port, _, _ := strings.Cut(after, ",")
	if err != nil || !ok {
		w.t.Fatalf("station serve says %q, %v", line, err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca)
	return &updateServer{t: w.t, at: at, pid: cmd.Process.Pid, url: "https://localhost:" + port, store: at("releases"),
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}}
}

// ask sends a request of the author.
func (s *updateServer) ask(method, path, kind string, body io.Reader, want int, headers ...string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.SetBasicAuth("anna", authorPassword)
	r.Header.Set("Content-Type", kind)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := s.client.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	if said, _ := io.ReadAll(answer.Body); answer.StatusCode != want {
		s.t.Fatalf("%s %s: %s\n%s", method, path, answer.Status, said)
	}
}

// upload brings a manifest and an image as the environment's authors do. The
// server can look into neither: what is wrong with them is for the device to find.
func (s *updateServer) upload(manifest, image string) {
	s.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for part, name := range map[string]string{"manifestFile": manifest + ".manifest", "firmwareFile": image} {
		to, err := form.CreateFormFile(part, name)
		if err != nil {
			s.t.Fatal(err)
		}
		_, _ = to.Write(deviceFile(s.t, name))
	}
	form.Close()
	s.id++
	s.ask("POST", fmt.Sprintf("/uploadFile?id=%d&deviceType=station-example&fwName=app&secureVersion=%d", s.id, secureVersion(manifest)), form.FormDataContentType(), &body, 200)
}

// secureVersion is that of the app that a manifest was made for.
func secureVersion(manifest string) uint32 {
	if manifest == "third" || manifest == "fourth" {
		return 2
	}
	return 1
}

// release brings a manifest and a bundle, and starts its rollout.
func (s *updateServer) release(version, manifest, bundle string) {
	s.t.Helper()
	s.releaseOf(version, manifest, deviceFile(s.t, bundle))
}

func (s *updateServer) releaseOf(version, manifest string, bundle []byte) {
	s.t.Helper()
	s.id++
	doc := &field.Release{Format: field.Format, ID: s.id, Product: "station-example", Name: "app", Version: version, SecureVersion: secureVersion(manifest)}
	for kind, b := range map[field.Kind][]byte{field.KindManifest: deviceFile(s.t, manifest+".manifest"), field.KindBundle: bundle} {
		f := field.Form{Kind: kind, Size: int64(len(b)), SHA256: fmt.Sprintf("sha256:%x", sha256.Sum256(b))}
		if kind == field.KindBundle {
			head, err := field.ParseBundle(b[:field.BundleHeaderSize])
			if err != nil {
				s.t.Fatal(err)
			}
			f.Check, doc.App, doc.AppSize, doc.Chip = hex.EncodeToString(head.Check[:]), fmt.Sprintf("sha256:%x", head.Plain), int64(head.PlainSize), head.Chip
		}
		s.ask("PATCH", "/v1/artifacts/"+f.SHA256, "application/octet-stream", bytes.NewReader(b), 204, "Upload-Offset", "0", "Upload-Length", fmt.Sprint(len(b)))
		doc.Forms = append(doc.Forms, f)
	}
	s.ask("PUT", fmt.Sprintf("/v1/releases/%s/%d", doc.Product, doc.ID), "application/json", bytes.NewReader(doc.JSON()), 204)
	roll := field.Rollout{Product: doc.Product, Release: doc.ID, Percent: 100, State: field.Running, Samples: field.DefaultSamples, Failures: 100}
	st, err := store.Open(s.store)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := st.Set(fmt.Sprintf("rollout/%s/%019d", doc.Product, doc.ID), roll.JSON(), 0); err != nil {
		s.t.Fatal(err)
	}
}

// issue makes a certificate, of itself or of a CA, and writes it and its key.
func issue(t *testing.T, dir, name string, ca *x509.Certificate, caKey *ecdsa.PrivateKey) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true, IsCA: ca == nil}
	if ca == nil {
		template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
		ca, caKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	keyDER, keyErr := x509.MarshalECPrivateKey(key)
	for _, err := range []error{err, keyErr,
		os.WriteFile(filepath.Join(dir, name+".pem"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(filepath.Join(dir, name+".key"), pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER}), 0o600),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// proves holds the ledger against what was done: all of it is in there, from
// the blank chip to each offer and its end, and the log is whole.
func (s *updateServer) proves(w *workplace, mac string, ends string) {
	s.t.Helper()
	out, _ := w.run(0, "ledger", "show", mac)
	if got := strings.Count(out, "update.offered"); got != int(s.id) || !strings.Contains(out, "device.sealed") {
		s.t.Errorf("%d of %d offers are in\n%s", got, s.id, out)
	}
	var got []string
	for _, m := range regexp.MustCompile(`"kind":"update.result".*"release":(\d+).*"state":"(\w+)"`).FindAllStringSubmatch(out, -1) {
		got = append(got, m[1]+" "+m[2])
	}
	if got := strings.Join(got, ", "); got != ends {
		s.t.Errorf("the ledger has the ends %s, want %s, in\n%s", got, ends, out)
	}
	w.run(0, "ledger", "verify")
	proof := filepath.Join(w.dir, "proof.json")
	w.run(0, "ledger", "prove", "--out", proof, mac)
	w.run(0, "key", "public", "--out", "proof-signer.pem")
	w.run(0, "ledger", "check", proof, "--key", "proof-signer.pem")
}
