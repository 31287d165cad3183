// Package sitetest runs real NATS servers for tests: clusters on which a site can be.
package sitetest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Nodes is how many servers a cluster has.
const Nodes = 3

// Patience is after how long what has to come does not come any more.
const Patience = 3 * time.Minute

// Run starts a server that is configured by this text. Who runs it ends it.
func Run(t *testing.T, config string) *server.Server {
	t.Helper()
	path := filepath.Join(t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		t.Fatal("a NATS server does not start")
	}
	return s
}

// Until waits for what has to come.
func Until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it never came: %s", what)
		}
	}
}

// Ready waits until there is a leader, and all servers know all.
func Ready(t *testing.T, servers []*server.Server) {
	t.Helper()
	Until(t, "the servers are one cluster", func() bool {
		leaders := 0
		for _, s := range servers {
			switch {
			case !s.JetStreamIsCurrent():
				return false
			case s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers): // only it knows
				leaders++
			}
		}
		return leaders == 1
	})
}
