package hub

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/site"
)

// quarantine tells all benches that neither of two devices goes on.
func (h *Hub) quarantine(ctx context.Context, names site.Names, t *site.Taken, bench string) error {
	reason := fmt.Sprintf("%v, and %s gave it to device %s", t, bench, names.MAC)
	for _, text := range []string{names.MAC, t.MAC} {
		mac, err := chip.ParseMAC(text)
		if err == nil {
			err = h.changeNotice(ctx, mac, names.Simulated, func(n *site.Notice) error {
				all := reasons(n)
				if slices.Contains(all, reason) {
					return errKnown // also what was settled, and is read again
				}
				all = append(all, reason)
				if n.All = all; n.Open() {
					return nil
				}
				*n = site.Notice{ID: rand.Text(), MAC: mac, Simulated: names.Simulated, Reason: reason, Found: now(), All: all}
				return nil
			})
		}
		if err != nil && !errors.Is(err, errKnown) {
			return fmt.Errorf("conflict of %s: %w", text, err)
		}
	}
	return nil
}

// reasons are those of all conflicts of the device that were ever found.
func reasons(n *site.Notice) []string {
	if n.Reason == "" || n.Freed != "" || slices.Contains(n.All, n.Reason) {
		return n.All
	}
	return append(n.All, n.Reason) // as an older site kept it
}

var errKnown = errors.New("it is known")

// changeNotice changes what is told of a device.
func (h *Hub) changeNotice(ctx context.Context, mac chip.MAC, simulated bool, change func(*site.Notice) error) error {
	return changeRecord(ctx, h.conflicts, site.NoticeKey(mac, simulated), change)
}

// mostNotices is how many are told at once.
const mostNotices = 500

// notices answers a bench that wants to know what has become of devices.
func (m *mirror) notices(ctx context.Context, q site.Told) (a site.Answer, err error) {
	if q.Read {
		m.looked(ctx)
	}
	a.Place = q.Place
	behind := jetstream.ResumeFromRevision(q.Place + 1)
	err = m.hub.eachNotice(ctx, behind, func(n site.Notice, place uint64) bool {
		if len(a.Notices) == mostNotices {
			return false
		}
		a.Notices, a.Place = append(a.Notices, n), place
		return true
	})
	return a, err
}

// eachNotice gives the notices that there are, with their places, while each wants more.
func (h *Hub) eachNotice(ctx context.Context, which jetstream.WatchOpt, each func(n site.Notice, place uint64) bool) error {
	w, err := h.conflicts.WatchAll(ctx, which)
	if err != nil {
		return err
	}
	defer func() { _ = w.Stop() }()
	for e := range w.Updates() {
		if e == nil { // that was all
			return nil
		}
		n, err := site.Parse[site.Notice](e.Value())
		if err != nil || !each(n, e.Revision()) {
			return err
		}
	}
	return ctx.Err()
}

// listed are the Benches, with what keeps them from being stored, and what of their conflicts
// is open.
func (h *Hub) listed(ctx context.Context) ([]Status, error) {
	list := h.Benches()
	stuck := h.stuck()
	for i := range list {
		list[i].Stuck = stuck(list[i].Bench)
	}
	if !slices.ContainsFunc(list, func(s Status) bool { return len(s.Conflicts) > 0 }) {
		return list, nil
	}
	open, err := h.unsettled(ctx)
	if err != nil {
		return nil, err
	}
	for i := range list {
		list[i].Conflicts = slices.Clone(list[i].Conflicts)
		for j := range list[i].Conflicts {
			list[i].Conflicts[j].opened(open)
		}
	}
	return list, nil
}

// opened finds its devices among those that nobody has settled.
func (c *Conflict) opened(unsettled []chip.MAC) {
	for _, device := range slices.Compact([]string{c.Device, c.Taken.MAC}) {
		if slices.ContainsFunc(unsettled, func(mac chip.MAC) bool { return mac.String() == device }) {
			c.Open = append(c.Open, device)
		}
	}
}

// unsettled are the devices of which a conflict is open.
func (h *Hub) unsettled(ctx context.Context) (list []chip.MAC, err error) {
	err = h.eachNotice(ctx, jetstream.IgnoreDeletes(), func(n site.Notice, _ uint64) bool {
		if n.Open() {
			list = append(list, n.MAC)
		}
		return true
	})
	return list, err
}

// Unsettled are the devices of which a conflict is open: at the site that runs here, or, where
// it does not, in its folder.
func (f *Folder) Unsettled(ctx context.Context, tell func(string)) ([]chip.MAC, error) {
	a, err := f.tell(ctx, topicUnsettled, nil)
	if errors.Is(err, ErrNotRunning) {
		var s *Server
		if s, err = f.run(ctx, tell, &Server{folder: f, alone: true}); err != nil {
			return nil, err
		}
		defer s.Close()
		a.Unsettled, err = s.hub.unsettled(ctx)
	}
	return a.Unsettled, wrapped("conflicts", err)
}

// ErrNoConflict: nobody has to explain anything about the device.
const ErrNoConflict = Refusal("the site knows of no conflict of this device that is open")

// settleConflict is a person's word about a device, told to all benches.
func (h *Hub) settleConflict(ctx context.Context, mac chip.MAC, s site.Settled) error {
	if record.Blank(s.Operator) || record.Blank(s.Reason) {
		return errors.New("who settles it, and why, is missing")
	}
	s.Time = now()
	return h.changeNotice(ctx, mac, mac.Local(), func(n *site.Notice) error {
		if !n.Open() {
			return ErrNoConflict
		}
		n.Settled = &s
		return nil
	})
}

// Settle says that a conflict of a device is explained.
func (f *Folder) Settle(ctx context.Context, mac chip.MAC, s site.Settled) error {
	_, err := f.rule(ctx, topicSettle, mac, s)
	return err
}
