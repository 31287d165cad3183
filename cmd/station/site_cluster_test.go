package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"station/internal/site/sitetest"
)

// siteStarts starts a program that runs the site, and waits until benches may come.
func (w *workplace) siteStarts(args ...string) (*exec.Cmd, *bytes.Buffer) {
	w.t.Helper()
	said := new(bytes.Buffer)
	cmd := w.command(args...)
	cmd.Stderr = said
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	sitetest.Until(w.t, "the site runs", func() bool {
		_, err := os.Stat(filepath.Join(w.dir, "site", "address"))
		return err == nil
	})
	return cmd, said
}

// A site on somebody else's cluster, by TLS and a .creds file: benches do not see it, what
// opens nothing is told, and of two processes that run the site the first one ends, with all
// that is in it.
func TestSiteOnACluster(t *testing.T) {
	w := newWorkplace(t)
	conf, err := os.ReadFile("../../docs/site-cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	operator := sitetest.NewOperator(t)
	cluster := sitetest.NewCluster(t, string(conf), operator.Accounts())
	creds := operator.Creds()
	init := []string{"site", "init", "--name", "plant-1", "--url", "tls://localhost:4222", "--listen", "127.0.0.1:0", "--cluster", cluster.URL, "--cluster-ca", cluster.CA, "--cluster-creds"}
	w.run(0, append(init, creds)...)
	right := w.read("site/cluster.creds")
	w.run(0, append(init, sitetest.NewOperator(t).Creds(), "--dir", "other")...)
	w.write("site/cluster.creds", string(w.read("other/cluster.creds")))
	if _, said := w.run(exitStation, "site", "run"); !strings.Contains(said, "site: cluster "+cluster.URL+": nats: Authorization Violation") {
		t.Errorf("credentials of another operator: %s", said)
	}
	w.write("site/cluster.creds", string(right))

	cmd, said := w.siteStarts("site", "run")
	address := string(w.read("site/address"))
	w.write("site/site.json", strings.Replace(string(w.read("site/site.json")), "localhost:4222", address, 1))
	w.run(0, "site", "add", "bench-1", "--out", "bench-1.pass")
	file := string(w.read("station.toml"))
	w.write("station.toml", file+"\n[site]\npass = \"bench-1.pass\"\n")
	w.run(0, "batch", "open", "b1", "--devices", "9", "--operator", "anna")
	w.run(0, "site", "push")
	if b := w.atSite(); b.Size != w.entries() {
		t.Errorf("the site has %d entries of %d", b.Size, w.entries())
	}
	w.run(0, "site", "verify")

	w.replaced(cmd, said, cluster.TakeOver(t, creds))
	w.write("station.toml", file+w.updates(nil, nil)+"site = \"site\"\n")
	cmd, said = w.siteStarts("serve")
	w.replaced(cmd, said, cluster.TakeOver(t, creds))
}

// replaced waits until a program ends whose site another process runs, and that one too.
func (w *workplace) replaced(cmd *exec.Cmd, said *bytes.Buffer, leave func()) {
	w.t.Helper()
	late := time.AfterFunc(sitetest.Patience, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitStation || !strings.Contains(said.String(), "station: site: another process runs this site on its cluster now; this one has ended") {
		w.t.Errorf("%v ends with %d: %s", cmd.Args[1:], code, said)
	}
	leave()
}

// updates is what an update server has in the station file, and its files; a CA, if not nil,
// certifies it.
func (w *workplace) updates(ca *x509.Certificate, caKey *ecdsa.PrivateKey) string {
	w.t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(authorPassword), bcrypt.MinCost)
	if err != nil {
		w.t.Fatal(err)
	}
	issue(w.t, w.dir, "localhost", ca, caKey)
	w.write("authors", "anna:"+string(hash))
	w.write("tokens", "")
	return `[serve]
listen = "127.0.0.1:0"
cert = "localhost.pem"
key = "localhost.key"
authors = "authors"
tokens = "tokens"
`
}
