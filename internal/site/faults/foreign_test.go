package faults

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"

	"station/internal/site"
	"station/internal/site/sitetest"
)

// A site works on a cluster with TLS as docs/site.md describes it, known by an nkey or by an
// operator's .creds file, with no more rights than stand there. What does not open it, or
// opens too little, is told before any bench may come.
func TestForeignCluster(t *testing.T) {
	text := siteClusterConf(t)
	t.Run("nkey", func(t *testing.T) {
		seed, public := sitetest.User(t)
		c := sitetest.NewCluster(t, strings.Replace(text, confUser, public, 1), "")
		newPlantOn(&cluster{t: t}, c.URL, seed, c.CA).works()
	})
	t.Run("operator", func(t *testing.T) {
		o := sitetest.NewOperator(t)
		c := sitetest.NewCluster(t, text, o.Accounts())
		p := newPlantOn(&cluster{t: t}, c.URL, o.Creds(), c.CA)
		p.works()
		p.server.Close()
		p.refused(o)
	})
}

// works lets a bench do all that it does with its site.
func (p *plant) works() {
	p.t.Helper()
	b := p.bench("bench-1", 0)
	m := &maker{bench: b, batch: &batch{name: "b", of: map[int]string{}}}
	b.run()
	over := make(chan struct{})
	close(over)
	if err := errors.Join(b.work(20), b.sign(), m.make(over), b.sign()); err != nil {
		p.t.Error(err)
	}
	if !b.claim(site.Names{MAC: "02:01", List: []site.Name{{Kind: site.NameSerial, Value: "SN-1"}}}) {
		p.t.Error("somebody has a name of a new site")
	}
	m.again()
	b.settled()
	b.same()
	b.end()
	if said := strings.Join(p.heard(), "\n"); said != "" {
		p.t.Errorf("the site says %s", said)
	}
}

// refused starts a site whose credentials are not what they must be.
func (p *plant) refused(o *sitetest.Operator) {
	p.t.Helper()
	without := func(subject string) string {
		return o.Creds(func(u *jwt.UserClaims) {
			u.Pub.Allow.Remove(subject)
			u.Sub.Allow.Remove(subject)
			u.Sub.Allow.Add("elsewhere") // an empty list is all
		})
	}
	for _, v := range []struct{ name, creds, ca, want string }{
		{"another operator's", sitetest.NewOperator(p.t).Creds(), "", "nats: Authorization Violation"},
		{"expired", o.Creds(func(u *jwt.UserClaims) { u.Expires = time.Now().Add(-time.Hour).Unix() }), "", "nats: Authorization Violation"},
		{"another CA", o.Creds(), "ca.pem", "certificate signed by unknown authority"},
		{"no entries", without("site.entries.*"), "", "the site's user may not publish site.entries.*; docs/site.md says what it must be allowed"},
		{"no buckets", without("$KV.>"), "", "the site's user may not publish $KV.>;"},
		{"no JetStream", without("$JS.API.>"), "", "the site's user may not publish $JS.API.>;"},
		{"no answers", without("_INBOX.>"), "", "the site's user may not subscribe _INBOX.>;"},
		{"small messages", o.Creds(func(u *jwt.UserClaims) { u.Limits.Payload = 1 << 20 }), "", "it takes messages of 1048576 bytes; set max_payload: 4194304 on its servers, and no less for account and user"},
		{"no service", without("$SYS.REQ.SERVER.PING.JSZ"), "", ""},
	} {
		began := time.Now()
		folder := p.copied()
		for name, from := range map[string]string{"cluster.creds": v.creds, "cluster-ca.pem": filepath.Join(folder.Dir, v.ca)} {
			if name == "cluster-ca.pem" && v.ca == "" {
				continue
			}
			data, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(filepath.Join(folder.Dir, name), data, 0o600)
			}
			if err != nil {
				p.t.Fatal(err)
			}
		}
		s, err := folder.Start(p.t.Context(), p.tell)
		switch {
		case v.want == "" && err != nil, v.want != "" && err == nil, err != nil && !strings.Contains(err.Error(), "site: cluster "+folder.Cluster.URL+": ") || err != nil && !strings.Contains(err.Error(), v.want):
			p.t.Errorf("%s: %v, want %s", v.name, err, v.want)
		}
		if err == nil {
			s.Close()
		}
		p.t.Log(v.name, time.Since(began).Round(time.Millisecond), err)
	}
	if said := strings.Join(p.heard(), "\n"); !strings.Contains(said, "could not be seen of all: sync_interval: always must be set on each") {
		p.t.Errorf("without the service it says %s", said)
	}
}
