package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
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

// The page is served beside the site, says where, and ends with it.
func TestSitePage(t *testing.T) {
	w := newWorkplace(t)
	w.run(0, "site", "init", "--name", "plant-1", "--url", "tls://localhost:4222", "--listen", "127.0.0.1:0")
	token, _ := w.run(0, "site", "token", "add", "wall")
	cmd := w.command("site", "run", "--page", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said, at := bufio.NewScanner(stderr), ""
	for at == "" && said.Scan() {
		_, at, _ = strings.Cut(said.Text(), "page at ")
	}
	go io.Copy(io.Discard, stderr)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(w.read("site/ca.pem"))
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := client.PostForm(at+"/login", url.Values{"token": {strings.TrimSpace(token)}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil || !strings.Contains(string(body), "plant-1") || strings.Contains(string(body), "name=\"token\"") {
		t.Errorf("who has a token sees %s, %v", body, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if _, said := w.run(exitUsage, "serve", "--page", ":0"); !strings.Contains(said, "give --site") {
		t.Errorf("a page without a site: %s", said)
	}
}
