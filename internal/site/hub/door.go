package hub

import (
	"encoding/base64"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// door lets in whom the folder names, by the signature of its nkey under the server's
// nonce. It is asked at each connection, so that the server's own options never have to
// be read again while messages come and go.
type door struct {
	mu    sync.RWMutex
	users map[string]*server.NkeyUser // by public nkey
}

// Check implements server.Authentication.
func (d *door) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	sig, err := base64.RawURLEncoding.DecodeString(o.Sig)
	if err != nil || c.Kind() != server.CLIENT {
		return false
	}
	key, err := nkeys.FromPublicKey(o.Nkey)
	if err != nil || len(c.GetNonce()) == 0 || key.Verify(c.GetNonce(), sig) != nil {
		return false
	}
	d.mu.RLock() // until it is registered: who is put out meanwhile is seen
	defer d.mu.RUnlock()
	u := d.users[o.Nkey]
	if u == nil {
		return false
	}
	c.RegisterUser(&server.User{Username: o.Nkey, Permissions: u.Permissions})
	return true
}

// let changes who may come in, and puts out all others.
func (d *door) let(s *server.Server, list []*server.NkeyUser) error {
	users := map[string]*server.NkeyUser{}
	for _, u := range list {
		users[u.Nkey] = u
	}
	d.mu.Lock()
	d.users = users
	d.mu.Unlock()
	if s == nil {
		return nil
	}
	for offset := 0; ; {
		conns, err := s.Connz(&server.ConnzOptions{Username: true, Offset: offset})
		if err != nil || len(conns.Conns) == 0 {
			return err
		}
		for _, c := range conns.Conns {
			if offset++; c.AuthorizedUser != "" && users[c.AuthorizedUser] == nil {
				_ = s.DisconnectClientByID(c.Cid) // it may be gone
			}
		}
	}
}
