package sitetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"station/internal/site/hub"
)

// Cluster are servers with TLS, by a CA of their own.
type Cluster struct {
	URL string
	CA  string // PEM file
}

// NewCluster starts servers that are configured as docs/site-cluster.conf, of which this
// is the text; accounts, if not "", stands in place of its accounts.
func NewCluster(t *testing.T, text, accounts string) *Cluster {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	if err := hub.Init(dir, hub.Config{Name: "nats", URL: "tls://localhost:4222"}, nil, nil); err != nil { // its CA is one as any other
		t.Fatal(err)
	}
	if accounts != "" {
		text, _, _ = strings.Cut(text, "\naccounts {")
		text += "\n" + accounts
	}
	var routes [Nodes]string
	for i := range routes { // in a network of their own, where nobody else has their ports
		routes[i] = fmt.Sprintf("127.%d.%d.%d:6222", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
		text = strings.Replace(text, fmt.Sprintf("//nats-%d:6222", i+1), "//"+routes[i], 1)
	}
	var servers []*server.Server
	var urls []string
	for i := range Nodes {
		s := Run(t, strings.NewReplacer("0.0.0.0:4222", "127.0.0.1:-1", "0.0.0.0:6222", routes[i], "/etc/nats", dir,
			"nats-1\n", fmt.Sprintf("nats-%d\n", i+1), "/var/lib/nats", filepath.Join(t.TempDir(), "node")).Replace(text))
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers, urls = append(servers, s), append(urls, "tls://"+s.Addr().String())
	}
	Ready(t, servers)
	return &Cluster{URL: strings.Join(urls, ","), CA: filepath.Join(dir, "ca.pem")}
}

// User is the nkey of a user: a file with its seed, and its public half.
func User(t *testing.T) (seed, public string) {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ = pair.PublicKey()
	data, _ := pair.Seed()
	return write(t, data), public
}

// write writes what nobody else may read into a new file.
func write(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TakeOver writes into the cluster what a second process writes that runs the site too; creds
// is a .creds file. The function is what it does when it ends.
func (c *Cluster) TakeOver(t *testing.T, creds string) (leave func()) {
	t.Helper()
	conn, err := nats.Connect(c.URL, nats.UserCredentials(creds), nats.RootCAs(c.CA))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	runs, err := js.KeyValue(t.Context(), "RUNS")
	if err == nil {
		_, err = runs.PutString(t.Context(), "site", "another one")
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		if err := runs.Delete(t.Context(), "site"); err != nil {
			t.Fatal(err)
		}
	}
}
