package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"station/internal/record"
	"station/internal/site"
)

// claim is who has a name. A device is the bench's that has its MAC; its other names are
// the device's, wherever that is.
type claim struct {
	Bench string    `json:"bench"`
	MAC   string    `json:"mac"`
	Time  time.Time `json:"time"`
	// Of a MAC that has moved: how often, from which bench at last, and how many entries
	// the ledger of each bench that had it before had then.
	Moves int               `json:"moves,omitempty"`
	From  string            `json:"from,omitempty"`
	Left  map[string]uint64 `json:"left,omitempty"`
}

// past tells whether entry n of a bench is from a time when the device was that bench's,
// which has given it away since.
func (c *claim) past(bench string, n uint64) bool { return c.Bench != bench && n < c.Left[bench] }

// Conflict is a name that two devices have, or a device that two benches have: found
// in a ledger after it was made there.
type Conflict struct {
	site.Taken
	Device string    `json:"device"` // of this bench
	Entry  uint64    `json:"entry"`
	Found  time.Time `json:"found"`
	// Open are those of its devices that nobody has settled, where that was asked for.
	Open []string `json:"open,omitempty"`
}

// mostConflicts is how many of a bench are listed: the first ones tell enough.
const mostConflicts = 100

// claim takes names for a device of a bench, by compare-and-set: of two who ask at
// the same time one gets them. Who has a name may ask again.
func (h *Hub) claim(ctx context.Context, bench string, names site.Names) error {
	data, err := json.Marshal(claim{Bench: bench, MAC: names.MAC, Time: now()})
	if err != nil {
		return err
	}
	for _, n := range names.List {
		if err := h.claimOne(ctx, bench, names, n, data); err != nil {
			return err
		}
	}
	return nil
}

func (h *Hub) claimOne(ctx context.Context, bench string, names site.Names, n site.Name, data []byte) error {
	key := n.Key(names.Simulated)
	value, err := h.claims.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		if _, err = h.claims.Create(ctx, key, data); err == nil {
			return nil
		}
		if quicker(err) {
			value, err = h.claims.Get(ctx, key)
		}
	}
	if err != nil {
		return fmt.Errorf("claim of %s %s: %w", n.Kind, n.Value, err)
	}
	var has claim
	if err := json.Unmarshal(value.Value(), &has); err != nil {
		return fmt.Errorf("claim of %s %s: %w", n.Kind, n.Value, err)
	}
	if has.MAC != names.MAC || n.Kind == site.NameMAC && has.Bench != bench {
		return &site.Taken{Name: n, Bench: has.Bench, MAC: has.MAC}
	}
	return nil
}

// claimed answers a bench that wants names for a device.
func (m *mirror) claimed(ctx context.Context, names site.Names) (a site.Answer, err error) {
	if k := m.state(); k.Halt != nil {
		return a, k.Halt
	}
	taken := new(site.Taken)
	if err = m.hub.claim(ctx, m.bench, names); errors.As(err, &taken) {
		return site.Answer{Taken: taken}, nil
	}
	return a, err
}

// settle claims what the ledger gave away without asking, and lists what somebody else
// had by then.
func (m *mirror) settle(n uint64, raw []byte, _ bool) error {
	e, err := record.Decode(raw)
	if err != nil {
		return nil // take has refused it
	}
	if err := m.settleNumbers(e); err != nil {
		return err
	}
	names, err := site.NamesOf(e)
	if err != nil {
		return nil
	}
	taken := new(site.Taken)
	if err := m.settleNames(m.hub.ctx, e, names); errors.As(err, &taken) {
		if err := m.hub.quarantine(m.hub.ctx, names, taken, m.bench); err != nil {
			return err
		}
		m.conflict(Conflict{Taken: *taken, Device: names.MAC, Entry: n - 1, Found: now()})
	} else if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.known.Settled = n
	m.wake()
	return nil
}

// settleNames claims the names of an entry. What a bench had before it gave the device
// away is no claim any more; what it does to it afterwards is a conflict.
func (m *mirror) settleNames(ctx context.Context, e record.Entry, names site.Names) error {
	if e.Kind == record.Moved {
		return m.settleMove(ctx, e, names)
	}
	if len(names.List) == 0 && !e.GoesOn() {
		return nil
	}
	has, err := m.hub.claimOf(ctx, names)
	if err != nil {
		return err
	}
	switch {
	case has.past(m.bench, e.Index):
		return nil
	case e.GoesOn() && has.Bench != m.bench && has.Left[m.bench] > 0:
		return has.taken(names)
	}
	return m.hub.claim(ctx, m.bench, names)
}

func (m *mirror) conflict(c Conflict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, had := range m.known.Conflicts {
		if had.Taken == c.Taken && had.Device == c.Device {
			return
		}
	}
	m.hub.Tell(fmt.Sprintf("E-CLAIMED: %s, entry %d, device %s: %v", m.bench, c.Entry, c.Device, &c.Taken))
	if len(m.known.Conflicts) < mostConflicts {
		m.known.Conflicts = append(m.known.Conflicts, c)
	}
	if err := m.save(); err != nil {
		m.hub.Tell(err.Error())
	}
}
