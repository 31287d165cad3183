package hub

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"station/internal/keyfile"
	"station/internal/secret"
	"station/internal/site"
)

// Cluster is a NATS cluster of somebody else's that keeps the copies, each on three of
// its servers. Benches do not know it: they come to the site's own server.
type Cluster struct {
	URL string `json:"url"` // of its servers: tls://HOST:PORT, with commas between them

	Credentials *secret.Bytes `json:"-"` // a .creds file, or the seed of an nkey
	CA          []byte        `json:"-"` // PEM; nil is what the machine trusts
}

const (
	credentialsFile = "cluster.creds"
	clusterCAFile   = "cluster-ca.pem"
	copies          = 3
)

// ReadCluster reads what a site needs to reach a cluster; ca may be "".
func ReadCluster(urls, credentials, ca string) (c *Cluster, err error) {
	c = &Cluster{URL: urls}
	for one := range strings.SplitSeq(urls, ",") {
		if err := checkClusterURL(one); err != nil {
			return nil, fmt.Errorf("cluster: %w", err)
		}
	}
	if ca != "" {
		if _, err = keyfile.ReadCertificate(ca); err == nil {
			c.CA, err = keyfile.Read(ca, keyfile.SideFile)
		}
	}
	if err == nil {
		c.Credentials, err = keyfile.ReadGuarded(credentials)
	}
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return c, nil
}

// checkClusterURL: what leaves the machine is encrypted, and no secret is in an address.
func checkClusterURL(one string) error {
	at, err := url.Parse(one)
	if err != nil || at.Hostname() == "" || at.Port() == "" || at.User != nil || at.Path != "" {
		return fmt.Errorf("address %q: want tls://HOST:PORT, more of them with commas", one)
	}
	if ip, err := netip.ParseAddr(at.Hostname()); at.Scheme == "nats" && err == nil && ip.IsLoopback() {
		return nil
	}
	if at.Scheme != "tls" {
		return fmt.Errorf("address %q: want tls://; without TLS only an address of this machine may be, nats://127.0.0.1:PORT", one)
	}
	return nil
}

// keepCluster keeps what opens the cluster in the folder.
func (f *Folder) keepCluster() error {
	err := keyfile.Create(f.path(credentialsFile), 0o600, func(w *os.File) error {
		_, err := w.Write(f.Cluster.Credentials.Reveal())
		return err
	})
	if err == nil && f.Cluster.CA != nil {
		err = keyfile.Replace(f.path(clusterCAFile), 0o640, f.Cluster.CA)
	}
	return err
}

// clusterPing is how often the connection is tried; a dead one is left after three.
const clusterPing = 5 * time.Second

// join connects to the cluster. The connection finds another of its servers when one is
// gone; what was asked then gets no answer.
func (f *Folder) join(tell func(string)) (*nats.Conn, error) {
	open, err := f.credentials()
	if err != nil {
		return nil, err
	}
	options := []nats.Option{
		open, nats.Name("station site " + f.Name), nats.Timeout(site.ConnectTime), nats.PingInterval(clusterPing), nats.MaxPingsOutstanding(2),
		nats.MaxReconnects(-1), nats.ReconnectWait(time.Second / 4), nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				tell(fmt.Sprintf("the cluster was lost: %v", err))
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { tell("the cluster is there again, at " + c.ConnectedUrlRedacted()) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { tell(fmt.Sprintf("the cluster: %v", err)) }),
	}
	if _, err := os.Stat(f.path(clusterCAFile)); err == nil {
		options = append(options, nats.RootCAs(f.path(clusterCAFile)))
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	conn, err := nats.Connect(f.Cluster.URL, options...)
	if err == nil {
		err = may(conn)
	}
	if err == nil && conn.MaxPayload() < maxEntry { // what account and user may send is told after the connection is made
		err = fmt.Errorf("it takes messages of %d bytes; set max_payload: %d on its servers, and no less for account and user", conn.MaxPayload(), maxEntry)
	}
	if err == nil {
		err = synced(conn, tell)
	}
	if err != nil {
		if conn != nil {
			conn.Close()
		}
		return nil, fmt.Errorf("cluster %s: %w", f.Cluster.URL, err)
	}
	return conn, nil
}

// may makes sure that the site's user may do all that docs/site.md asks for: of what it may
// not the server says nothing to who waits for an answer. Nothing is called "_".
func may(conn *nats.Conn) error {
	inbox := conn.NewInbox()
	answers, err := conn.SubscribeSync(inbox)
	if err != nil {
		return err
	}
	defer func() { _ = answers.Unsubscribe() }()
	if err := allowed(conn, "subscribe", nats.InboxPrefix+">", inbox); err != nil {
		return err
	}
	for _, of := range []struct{ all, one string }{{site.EntriesOf("*"), site.EntriesOf("_")}, {"$KV.>", "$KV._._"}, {"$JS.API.>", "$JS.API._"}} {
		if err := conn.Publish(of.one, nil); err != nil {
			return err
		}
		if err := allowed(conn, "publish", of.all, of.one); err != nil {
			return err
		}
	}
	return nil
}

// allowed tells whether the server has refused what was just done to a subject.
func allowed(conn *nats.Conn, what, all, subject string) error {
	if err := conn.FlushTimeout(site.ConnectTime); err != nil {
		return err
	}
	if err := conn.LastError(); errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), subject) {
		return fmt.Errorf("the site's user may not %s %s; docs/site.md says what it must be allowed", what, all)
	}
	return nil
}

// credentials are how the site shows who it is.
func (f *Folder) credentials() (nats.Option, error) {
	path := f.path(credentialsFile)
	data, err := keyfile.ReadGuarded(path)
	if err != nil {
		return nil, err
	}
	defer data.Destroy()
	if bytes.Contains(data.Reveal(), []byte("NATS USER JWT")) {
		return nats.UserCredentials(path), nil
	}
	return nats.NkeyOptionFromSeed(path)
}
