package hub

import (
	"errors"
	"strings"

	"github.com/nats-io/nats.go"

	"station/internal/site"
)

// carry carries the entries of benches from the site's own server into the cluster,
// and what it says to them back: the answer's subject is part of the question's.
func carry(benches, cluster *nats.Conn) error {
	inbox := cluster.NewInbox() + "."
	_, err := cluster.Subscribe(inbox+">", func(m *nats.Msg) {
		_ = benches.PublishMsg(&nats.Msg{Subject: strings.TrimPrefix(m.Subject, inbox), Header: m.Header, Data: m.Data})
	})
	if err != nil {
		return err
	}
	entries, err := benches.Subscribe(site.EntriesOf("*"), func(m *nats.Msg) {
		on := &nats.Msg{Subject: m.Subject, Header: m.Header, Data: m.Data}
		if m.Reply != "" {
			if !asksItself(m.Reply, strings.TrimPrefix(m.Subject, site.EntriesOf(""))) {
				return
			}
			on.Reply = inbox + m.Reply
		}
		_ = cluster.PublishMsg(on) // one that is lost leaves its batch without an acknowledgement
	})
	if err != nil {
		return err
	}
	return errors.Join(entries.SetPendingLimits(-1, -1), cluster.Flush())
}

// asksItself tells whether an answer goes to the bench itself. Elsewhere it could be
// taken for a question that another bench asks.
func asksItself(reply, bench string) bool {
	return strings.HasPrefix(reply, site.InboxOf(bench)+".")
}
