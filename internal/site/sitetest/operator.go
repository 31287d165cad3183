package sitetest

import (
	"fmt"
	"testing"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
)

// Operator has accounts that are JWTs under its signature: one of the system and one of
// the site.
type Operator struct {
	t            *testing.T
	own, account nkeys.KeyPair
	system       string
	token        string
	preload      string
}

// ping is the service of the system account by which the site sees how servers sync.
const ping = "$SYS.REQ.SERVER.PING.JSZ"

// NewOperator makes an operator, and its accounts as docs/site.md says.
func NewOperator(t *testing.T) *Operator {
	t.Helper()
	o := &Operator{t: t}
	var own string
	o.own, own = o.pair(nkeys.CreateOperator)
	_, o.system = o.pair(nkeys.CreateAccount)
	sys := jwt.NewAccountClaims(o.system)
	sys.Name = "SYS"
	sys.Exports.Add(&jwt.Export{Name: "ping", Subject: ping, Type: jwt.Service, ResponseType: jwt.ResponseTypeStream})
	o.enter(sys)
	var public string
	o.account, public = o.pair(nkeys.CreateAccount)
	site := jwt.NewAccountClaims(public)
	site.Name = "PLANT-1"
	site.Limits.JetStreamLimits = jwt.JetStreamLimits{DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit}
	site.Imports.Add(&jwt.Import{Name: "ping", Subject: ping, Account: o.system, Type: jwt.Service})
	o.enter(site)
	claims := jwt.NewOperatorClaims(own)
	claims.Name, claims.SystemAccount = "plant", o.system
	o.token = o.sign(claims, o.own)
	return o
}

func (o *Operator) pair(create func() (nkeys.KeyPair, error)) (pair nkeys.KeyPair, public string) {
	pair, err := create()
	if err == nil {
		public, err = pair.PublicKey()
	}
	if err != nil {
		o.t.Fatal(err)
	}
	return pair, public
}

func (o *Operator) sign(c jwt.Claims, by nkeys.KeyPair) string {
	token, err := c.Encode(by)
	if err != nil {
		o.t.Fatal(err)
	}
	return token
}

// enter lets the servers know an account.
func (o *Operator) enter(a *jwt.AccountClaims) {
	o.preload += fmt.Sprintf("  %s: %s\n", a.Subject, o.sign(a, o.own))
}

// Accounts is what a server's configuration has in place of accounts.
func (o *Operator) Accounts() string {
	return fmt.Sprintf("operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n%s}\n", o.token, o.system, o.preload)
}

// Creds makes a .creds file of a user who may do what docs/site.md says, as changed.
func (o *Operator) Creds(changes ...func(*jwt.UserClaims)) string {
	o.t.Helper()
	pair, public := o.pair(nkeys.CreateUser)
	u := jwt.NewUserClaims(public)
	u.Name = "site"
	u.Pub.Allow.Add("site.entries.*", "$KV.>", "$JS.API.>", ping)
	u.Sub.Allow.Add("_INBOX.>")
	for _, change := range changes {
		change(u)
	}
	seed, err := pair.Seed()
	if err != nil {
		o.t.Fatal(err)
	}
	data, err := jwt.FormatUserConfig(o.sign(u, o.account), seed)
	if err != nil {
		o.t.Fatal(err)
	}
	return write(o.t, data)
}
