package hub

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
)

// free takes a device away from a bench that comes no more and has told nothing of it: it
// was given the device, or its names, and was lost before its ledger said so. The device is
// the bench's again that had it, whose name is the answer, or nobody's. Every bench is told.
// What was done to the chip meanwhile the chip shows, and no bench goes on with what no
// ledger explains.
func (h *Hub) free(ctx context.Context, mac chip.MAC, s site.Settled) (string, error) {
	if record.Blank(s.Operator) || record.Blank(s.Reason) {
		return "", errors.New("who frees it, and why, is missing")
	}
	names := site.Names{MAC: mac.String(), Simulated: mac.Local()}
	has, err := h.claimOf(ctx, names)
	if err == nil {
		err = h.mayFree(ctx, has, mac)
	}
	if err == nil {
		err = h.tellFreed(ctx, mac, has.Bench, s)
	}
	if err != nil {
		return "", err
	}
	return has.From, h.giveBack(ctx, names, has)
}

// mayFree refuses to free a device that needs no freeing: any bench takes it from the copy of
// the ledger that has it.
func (h *Hub) mayFree(ctx context.Context, has claim, mac chip.MAC) error {
	if has.Bench == "" {
		return Refusal("the site knows no bench that has this device")
	}
	told, err := h.told(ctx, has, mac)
	if err == nil && told {
		err = Refusal(fmt.Sprintf("the site has %s's ledger of it: any bench takes it from there, or says why not", has.Bench))
	}
	if err != nil {
		return err
	}
	gone, err := h.holders.folder.gone(has.Bench)
	if err == nil && !gone {
		err = Refusal(fmt.Sprintf("it is %s's, which belongs to the site: let that bench send what it has (\"station site push\" there); if it never comes again, \"station site revoke %s\" first", has.Bench, has.Bench))
	}
	return err
}

// told tells whether the site has the ledger of the bench that has a device as far as that
// has it.
func (h *Hub) told(ctx context.Context, has claim, mac chip.MAC) (bool, error) {
	pending, err := h.pending(ctx, has, site.Sought{MAC: mac, Simulated: mac.Local()})
	if err != nil || pending {
		return false, err
	}
	owner, err := h.of(has.Bench)
	var book *ledger.Ledger
	if err == nil {
		book, err = owner.book(ctx)
	}
	if err != nil || book == nil {
		return false, err
	}
	d, _, err := book.Device(mac)
	return len(d.Keys) > 0, err
}

// tellFreed tells all benches, before anything changes.
func (h *Hub) tellFreed(ctx context.Context, mac chip.MAC, bench string, s site.Settled) error {
	s.Time = now()
	return h.changeNotice(ctx, mac, mac.Local(), func(n *site.Notice) error {
		if n.Open() {
			return Refusal("it is in a conflict, which has to be settled first: \"station site settle\"")
		}
		*n = site.Notice{ID: rand.Text(), MAC: mac, Simulated: mac.Local(), Reason: fmt.Sprintf("%s had it, and comes no more", bench), Found: s.Time, Settled: &s, Freed: bench, All: reasons(n)}
		return nil
	})
}

// giveBack gives the device to the bench that had it, as though it had not moved, or to nobody.
func (h *Hub) giveBack(ctx context.Context, names site.Names, was claim) error {
	key := (site.Name{Kind: site.NameMAC, Value: names.MAC}).Key(names.Simulated)
	had, err := h.claims.Get(ctx, key)
	if err != nil {
		return err
	}
	var has claim
	if err := json.Unmarshal(had.Value(), &has); err != nil {
		return err
	}
	if has.Bench != was.Bench || has.Moves != was.Moves {
		return errors.New("it has moved meanwhile: look again")
	}
	if has.From == "" {
		return h.claims.Delete(ctx, key, jetstream.LastRevision(had.Revision()))
	}
	has.Bench, has.From, has.Moves, has.Time = has.From, "", has.Moves-1, now()
	data, err := json.Marshal(has)
	if err == nil {
		_, err = h.claims.Update(ctx, key, data, had.Revision())
	}
	return err
}

// Free takes a device away from a bench that was revoked and has told nothing of it. It
// answers whose the device is then; "" is nobody's.
func (f *Folder) Free(ctx context.Context, mac chip.MAC, s site.Settled) (string, error) {
	a, err := f.rule(ctx, topicFree, mac, s)
	return a.Owner, err
}
