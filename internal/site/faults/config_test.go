package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/site/hub"
)

// A site works on a cluster that is configured as docs/site-cluster.conf, with no more
// rights than stand there, and sees what its servers must not be.
func TestCluster(t *testing.T) {
	p := newPlant(t)
	b := p.bench("bench-1", 0)
	b.run()
	err := b.work(few(1500))
	if err == nil {
		err = b.sign()
	}
	if err != nil {
		t.Fatal(err)
	}
	b.settled()
	b.end()
	b.same()
	if said := strings.Join(p.heard(), "\n"); said != "" {
		t.Errorf("the site says %s", said)
	}
	p.keepsOut()
	p.server.Close()
	good := p.config
	for _, v := range []struct{ have, instead, want string }{
		{"sync_interval: always", "sync_interval: \"2m\"", "nats-1 acknowledges before the disk has it; set sync_interval: always"},
		{"max_payload: 4194304", "max_payload: 1048576", "it takes messages of 1048576 bytes; set max_payload: 4194304"},
	} {
		p.kill(0)
		p.config = strings.Replace(good, v.have, v.instead, 1)
		p.start(0)
		p.ready()
		folder := *p.folder
		folder.Cluster = &hub.Cluster{URL: "nats://" + p.client[0].address()}
		if s, err := folder.Start(t.Context(), p.tell); err == nil || !strings.Contains(err.Error(), v.want) {
			t.Errorf("with %s: %v", v.instead, err)
			if err == nil {
				s.Close()
			}
		}
	}
}

// keepsOut starts a copy of the folder while the site runs.
func (p *plant) keepsOut() {
	p.t.Helper()
	if s, err := p.copied().Start(p.t.Context(), p.tell); !errors.Is(err, hub.ErrRunning) {
		p.t.Errorf("a second process on the cluster: %v", err)
		if err == nil {
			s.Close()
		}
	}
}

// What is no address of a cluster is refused before anything is written.
func TestClusterAddress(t *testing.T) {
	file := filepath.Join(t.TempDir(), "seed")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for url, want := range map[string]string{
		"tls://a:1,tls://b:2":           "",
		"nats://127.0.0.1:1":            "",
		"nats://plant:4222":             "want tls://; without TLS",
		"tls://a:1,nats://192.0.2.1:22": "want tls://; without TLS",
		"tls://a":                       "want tls://HOST:PORT",
		"tls://eve:secret@a:1":          "want tls://HOST:PORT",
		"":                              "want tls://HOST:PORT",
	} {
		_, err := hub.ReadCluster(url, file, "")
		if said := fmt.Sprint(err); (err == nil) != (want == "") || !strings.Contains(said, want) {
			t.Errorf("%q: %v, want %q", url, err, want)
		}
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := hub.ReadCluster("tls://a:1", file, ""); err == nil || !strings.Contains(err.Error(), "may be read or changed by others") {
		t.Errorf("credentials that others may read: %v", err)
	}
}
