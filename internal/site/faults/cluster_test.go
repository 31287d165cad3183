package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

const nodes = 3

// patience is after how long what has to come does not come any more.
const patience = 3 * time.Minute

// cluster are three NATS servers, each of which reaches each other, and is reached by
// the site, over a wire of its own.
type cluster struct {
	t       *testing.T
	config  string // docs/site-cluster.conf, as it is here
	seed    []byte // of the site's nkey
	dirs    [nodes]string
	servers [nodes]*server.Server
	client  [nodes]*wire        // from the site
	routes  [nodes][nodes]*wire // from the first to the second
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
	text, err := os.ReadFile("../../../docs/site-cluster.conf")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, _ := strings.Cut(string(text), "tls {")
	_, rest, _ = strings.Cut(rest, "}\n") // wires look into what they carry
	c.config = strings.NewReplacer("0.0.0.0:4222", "127.0.0.1:-1", "0.0.0.0:6222", "127.0.0.1:-1",
		"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4", public,
	).Replace(head + rest)
	for i := range nodes {
		c.dirs[i] = filepath.Join(t.TempDir(), "node")
		c.client[i] = newWire(t)
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
	path := filepath.Join(c.t.TempDir(), "nats.conf")
	if err := os.WriteFile(path, []byte(before+"routes: ["+strings.Join(routes, ", ")+"]\n  no_advertise: true"+after), 0o600); err != nil {
		c.t.Fatal(err)
	}
	options, err := server.ProcessConfigFile(path)
	if err != nil {
		c.t.Fatal(err)
	}
	options.NoSigs, options.NoLog = true, true
	s, err := server.NewServer(options)
	if err != nil {
		c.t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(30 * time.Second) {
		c.t.Fatal("a NATS server does not start")
	}
	c.servers[i] = s
	c.client[i].set(func() { c.client[i].to = s.Addr().String() })
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

// ready waits until there is a leader, and all know all.
func (c *cluster) ready() {
	c.t.Helper()
	c.until("the servers are one cluster", func() bool {
		leaders := 0
		for _, s := range c.servers {
			switch {
			case !s.JetStreamIsCurrent():
				return false
			case s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == nodes: // only it knows
				leaders++
			}
		}
		return leaders == 1
	})
}

// until waits for what has to come.
func (c *cluster) until(what string, is func() bool) {
	c.t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("it never came: %s", what)
		}
	}
}

// url is where the site finds the cluster, the i-th server first.
func (c *cluster) url() string {
	var list []string
	for _, w := range c.client {
		list = append(list, "nats://"+w.address())
	}
	return strings.Join(list, ",")
}
