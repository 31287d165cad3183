package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"

	"station/internal/site/sitetest"
)

const (
	nodes    = sitetest.Nodes
	patience = sitetest.Patience
)

// cluster are three NATS servers, each of which reaches each other, and is reached by
// the site, over a wire of its own.
type cluster struct {
	t       *testing.T
	config  string // docs/site-cluster.conf, as it is here
	seed    []byte // of the site's nkey
	dirs    [nodes]string
	servers [nodes]*server.Server
	client  [nodes]*wire        // from the site
	spare   [nodes]*wire        // from another process that runs it
	routes  [nodes][nodes]*wire // from the first to the second
}

// confUser is the site's user in docs/site-cluster.conf.
const confUser = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"

// siteClusterConf is that file.
func siteClusterConf(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../../docs/site-cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t}
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	public, _ := pair.PublicKey()
	c.seed, _ = pair.Seed()
	head, rest, _ := strings.Cut(siteClusterConf(t), "tls {")
	_, rest, _ = strings.Cut(rest, "}\n") // wires look into what they carry
	c.config = strings.NewReplacer("0.0.0.0:4222", "127.0.0.1:-1", "0.0.0.0:6222", "127.0.0.1:-1",
		confUser, public,
	).Replace(head + rest)
	for i := range nodes {
		c.dirs[i] = filepath.Join(t.TempDir(), "node")
		c.client[i], c.spare[i] = newWire(t), newWire(t)
		for j := range nodes {
			c.routes[i][j] = newWire(t)
		}
	}
	for i := range nodes {
		c.start(i)
	}
	t.Cleanup(func() {
		for i := range nodes {
			c.kill(i)
		}
	})
	c.ready()
	return c
}

// start starts a server on what is in its folder.
func (c *cluster) start(i int) {
	c.t.Helper()
	var routes []string
	for j := range nodes {
		if j != i {
			routes = append(routes, fmt.Sprintf("%q", "nats-route://"+c.routes[i][j].address()))
		}
	}
	config := strings.NewReplacer("nats-1\n", fmt.Sprintf("nats-%d\n", i+1), "/var/lib/nats", c.dirs[i]).Replace(c.config)
	before, after, _ := strings.Cut(config, "routes: [")
	_, after, _ = strings.Cut(after, "]")
	s := sitetest.Run(c.t, before+"routes: ["+strings.Join(routes, ", ")+"]\n  no_advertise: true"+after)
	c.servers[i] = s
	for _, w := range []*wire{c.client[i], c.spare[i]} {
		w.set(func() { w.to = s.Addr().String() })
	}
	for j := range nodes {
		c.routes[j][i].set(func() { c.routes[j][i].to = s.ClusterAddr().String() })
		c.routes[i][j].set(func() {
			if c.servers[j] != nil {
				c.routes[i][j].to = c.servers[j].ClusterAddr().String()
			}
		})
	}
}

// unplug takes a server out of the network.
func (c *cluster) unplug(i int) {
	c.client[i].cut()
	c.spare[i].cut()
	for j := range nodes {
		c.routes[i][j].cut()
		c.routes[j][i].cut()
	}
}

// kill takes a server out of the network, and then ends it: it can tell nobody.
func (c *cluster) kill(i int) {
	if c.servers[i] == nil {
		return
	}
	c.unplug(i)
	c.servers[i].Shutdown()
	c.servers[i].WaitForShutdown()
	c.servers[i] = nil
}

func (c *cluster) ready() { c.t.Helper(); sitetest.Ready(c.t, c.servers[:]) }

func (c *cluster) until(what string, is func() bool) { c.t.Helper(); sitetest.Until(c.t, what, is) }

// url is where the site finds the cluster.
func (c *cluster) url() string { return urlOf(c.client) }

func urlOf(wires [nodes]*wire) string {
	var list []string
	for _, w := range wires {
		list = append(list, "nats://"+w.address())
	}
	return strings.Join(list, ",")
}
