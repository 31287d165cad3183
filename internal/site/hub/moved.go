package hub

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/nats-io/nats.go/jetstream"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
)

// claimOf is whose a device is; a zero claim where nobody has it.
func (h *Hub) claimOf(ctx context.Context, names site.Names) (has claim, err error) {
	name := site.Name{Kind: site.NameMAC, Value: names.MAC}
	value, err := h.claims.Get(ctx, name.Key(names.Simulated))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return has, nil
	}
	if err == nil {
		err = json.Unmarshal(value.Value(), &has)
	}
	if err != nil {
		err = fmt.Errorf("claim of %s: %w", names.MAC, err)
	}
	return has, err
}

// taken says whose the device is.
func (c *claim) taken(names site.Names) *site.Taken {
	return &site.Taken{Name: site.Name{Kind: site.NameMAC, Value: names.MAC}, Bench: c.Bench, MAC: names.MAC}
}

// moving answers a bench that wants to go on with a device of another one. The claim of its
// MAC moves, by compare-and-set; who has got the device, and was cut off, may ask again.
func (m *mirror) moving(ctx context.Context, q site.Moving) (a site.Answer, err error) {
	if k := m.state(); k.Halt != nil {
		return a, k.Halt
	}
	from, err := m.hub.of(q.From)
	if err != nil {
		return a, err
	}
	if why := from.halted(); why != "" {
		return a, errors.New(why)
	}
	names := site.Names{MAC: q.MAC.String(), Simulated: q.Simulated}
	taken := new(site.Taken)
	err = from.gives(ctx, q)
	if err == nil {
		err = changeRecord(ctx, m.hub.claims, site.NoticeKey(q.MAC, q.Simulated), func(c *claim) error {
			return c.move(names, m.bench, q)
		})
	}
	if errors.As(err, &taken) {
		return site.Answer{Taken: taken}, nil
	}
	return a, err
}

// halted is why the site refuses the ledger of the bench; empty while it does not.
func (m *mirror) halted() string {
	k := m.state()
	if k.Halt == nil {
		return ""
	}
	return fmt.Sprintf("the site refuses the ledger of %s: %s", m.bench, k.Halt.Reason)
}

// gives refuses to give away a device of which the ledger has more than was proved.
func (m *mirror) gives(ctx context.Context, q site.Moving) error {
	book, err := m.book(ctx)
	if err != nil || book == nil {
		return err
	}
	d, _, err := book.Device(q.MAC)
	if err == nil && (d.Last >= q.Size || d.Sealed || len(d.Keys) == 0) {
		name := site.Name{Kind: site.NameMAC, Value: q.MAC.String()}
		err = &site.Taken{Name: name, Bench: m.bench, MAC: name.Value}
	}
	return err
}

// move gives the device to a bench.
func (c *claim) move(names site.Names, to string, q site.Moving) error {
	switch {
	case c.Bench == to && c.From == q.From: // it has been cut off since
	case c.Bench == q.From:
		c.Bench, c.From, c.Time = to, q.From, now()
		c.Moves++
	default:
		return c.taken(names)
	}
	c.left(map[string]uint64{q.From: q.Size})
	return nil
}

// left adds up to where benches had the device.
func (c *claim) left(more map[string]uint64) {
	left := maps.Clone(more)
	for bench, n := range c.Left {
		left[bench] = max(left[bench], n)
	}
	c.Left = left
}

// settleMove reads that a device has moved to this bench: the site knows it, or has lost its
// claims, and then the ledger that knows of the most moves has the device.
func (m *mirror) settleMove(ctx context.Context, e record.Entry, names site.Names) error {
	had, moves, from, err := m.hub.readMove(e)
	if err != nil {
		return (&claim{Bench: cmp.Or(from, "nobody")}).taken(names)
	}
	err = changeRecord(ctx, m.hub.claims, site.NoticeKey(e.MAC, e.Simulated), func(c *claim) error {
		switch {
		case moves < c.Moves && (c.Bench == m.bench || c.past(m.bench, e.Index)):
			return errKnown
		case c.Bench == "", c.Bench == m.bench, moves > c.Moves && had[c.Bench] > 0:
		default:
			return c.taken(names)
		}
		c.Bench, c.MAC, c.From, c.Moves, c.Time = m.bench, names.MAC, from, moves, now()
		c.left(had)
		return nil
	})
	if errors.Is(err, errKnown) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := m.hub.claim(ctx, m.bench, names); err != nil {
		return err
	}
	return m.wentOn(ctx, e.MAC, had, names)
}

// readMove is what an entry of kind Moved says, where the site has signed it.
func (h *Hub) readMove(e record.Entry) (had map[string]uint64, moves int, from string, err error) {
	public, is := h.Key.Public().(*ecdsa.PublicKey)
	if !is {
		return nil, 0, "", errors.New("the site's key is none on P-256")
	}
	if err := ledger.CheckMove(&e, public); err != nil {
		return nil, 0, "", err
	}
	move, _, err := e.Brought()
	if err == nil {
		had, err = e.Holders(ledger.MovedSize)
	}
	var d record.Device
	d.Apply(e)
	return had, d.Moves, move.From, err
}

// wentOn finds what benches did to a device after they gave it away, where that was read
// before.
func (m *mirror) wentOn(ctx context.Context, mac chip.MAC, had map[string]uint64, names site.Names) error {
	for bench, size := range had {
		other, err := m.hub.of(bench)
		if errors.Is(err, ErrNoBench) || bench == m.bench {
			continue
		}
		var book *ledger.Ledger
		if err == nil {
			book, err = other.book(ctx)
		}
		var list []record.Entry
		if err == nil && book != nil {
			list, err = book.History(mac)
		}
		if err != nil {
			return err
		}
		if goesOnBehind(list, size) {
			return (&claim{Bench: bench}).taken(names)
		}
	}
	return nil
}

// goesOnBehind tells whether a device that left a bench behind so many entries was gone on
// with there, without its having come back.
func goesOnBehind(list []record.Entry, size uint64) bool {
	for _, e := range list {
		switch {
		case e.Index < size:
		case e.Kind == record.Moved:
			return false
		case e.GoesOn():
			return true
		}
	}
	return false
}

// book is the readable ledger of the bench, with all that is stored now; nil where there
// is none.
func (m *mirror) book(ctx context.Context) (*ledger.Ledger, error) {
	if err := m.caughtUp(ctx); err != nil {
		return nil, err
	}
	return m.hub.replicas.Ledger(m.bench), nil
}
