package ledger

import (
	"bytes"
	"encoding/json"
	"strings"

	"station/internal/record"
)

// project brings the projections up to an entry; before is its device so far.
func (t *txn) project(e record.Entry, before record.Device) error {
	after := applied(before, e)
	if err := countLots(t.lot, e, before, after); err != nil {
		return err
	}
	if !e.MAC.IsZero() {
		t.devices[e.MAC] = after
		if err := t.store(after, e.Kind); err != nil {
			return err
		}
	}
	for _, p := range indexed(&e) {
		if err := t.put(p.bucket, p.key, p.payload); err != nil {
			return err
		}
	}
	return nil
}

// applied is a device as an entry leaves it; as it was if the entry is not about one.
func applied(d record.Device, e record.Entry) record.Device {
	if !e.MAC.IsZero() {
		d.Apply(e)
	}
	return d
}

// index is one key of a projection that an entry sets.
type index struct {
	bucket, key string
	payload     []byte
}

// indexed is what an entry sets in the projections that only look up.
func indexed(e *record.Entry) []index {
	switch e.Kind {
	case record.KeyAssigned:
		var out []index
		for _, k := range e.Keys {
			at := index{inKeys, k.ID, bytes.Clone(e.MAC[:])}
			if k.Policy == shared {
				at.payload = nil
			}
			out = append(out, at)
		}
		return out
	case record.Moved:
		return movedNames(e)
	case record.SerialBound:
		return []index{{inKeys, serialName(e.Serial, e.Simulated), bytes.Clone(e.MAC[:])}}
	case record.IdentityMade:
		return identityNames(e)
	case record.PlanApproved:
		return []index{{inApprovals, approval(e.Station, e.Plan), []byte(number(e.Index))},
			{inApprovals, approval(e.Station, revision(e.Job, e.Revision)), []byte(number(e.Index))}}
	case record.KeyImported, record.KeyRemoved:
		if e.Token != "" {
			return []index{{inTokens, tokenKey(*e), []byte(number(e.Index))}}
		}
	case record.LedgerKey:
		return []index{{inSigners, string(e.Public), []byte(number(e.Index))}}
	}
	return nil
}

// serialName is a serial number among the key IDs, which begin with a policy:
// both are names that belong to one device for ever.
// Virtual chips take none away from real ones.
func serialName(serial string, simulated bool) string {
	if simulated {
		return "sim:serial:" + serial
	}
	return "serial:" + serial
}

// tokenKey is a token's serial number and the name of one of its keys: the key
// ID without its check value.
func tokenKey(e record.Entry) string {
	name := e.TokenKey().ID
	if i := strings.LastIndexByte(name, ':'); i >= 0 {
		name = name[:i]
	}
	return e.Token + "\x00" + name
}

func approval(station, digest string) string { return digest + "\x00" + station }

// revision is a job's name and revision among the digests that were approved.
func revision(job, revision string) string { return "job:" + job + "\x00" + revision }

// countLots moves a device between its lots' sums, and folds what the entry
// says of the lot itself. lot gives the lot of a name, to be changed in place.
func countLots(stored func(string) (*record.Lot, error), e record.Entry, before, after record.Device) error {
	lot := func(name string) (*record.Lot, error) {
		l, err := stored(name)
		if err == nil && l.First == 0 { // entry 0 is in no lot
			l.First = e.Index
		}
		return l, err
	}
	if before.InLot() != after.InLot() || sums(before) != sums(after) {
		if err := count(lot, before, -1); err != nil {
			return err
		}
		if err := count(lot, after, 1); err != nil {
			return err
		}
	}
	switch e.Kind {
	case record.BatchOpened, record.BatchAmended, record.BatchClosed, record.NumberTaken, record.NumbersLeased, record.NumbersReturned:
		l, err := lot(e.Lot())
		if err != nil {
			return err
		}
		l.Apply(e)
	}
	return nil
}

// sums is what one device adds to its lot.
func sums(d record.Device) (l record.Lot) {
	l.Count(d, 1)
	return l
}

func count(lot func(string) (*record.Lot, error), d record.Device, n int) error {
	if d.InLot() == "" {
		return nil
	}
	l, err := lot(d.InLot())
	if err == nil {
		l.Count(d, n)
	}
	return err
}

// lot returns a lot to be changed; flush writes it.
func (t *txn) lot(name string) (*record.Lot, error) {
	if l, ok := t.lots[name]; ok {
		return l, nil
	}
	l, ok := t.known.lots[name]
	if !ok {
		found, err := lookupJSON(t, inLots, name, &l)
		if err != nil {
			return nil, err
		}
		if found {
			t.known.lots[name] = l
		}
		l.Name = name
	}
	t.lots[name] = &l
	return &l, nil
}

// flush writes the lots that have changed. It ends every transaction.
func (t *txn) flush() error {
	for name, l := range t.lots {
		if before, ok := t.known.lots[name]; name == "" || ok && before == *l {
			continue
		}
		payload, err := json.Marshal(l)
		if err != nil {
			return err
		}
		if err := t.put(inLots, name, payload); err != nil {
			return err
		}
	}
	return nil
}
