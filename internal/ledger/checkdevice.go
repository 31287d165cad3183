package ledger

import (
	"bytes"
	"maps"

	"station/internal/chip"
	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// folded is a device as the log tells it.
type folded struct {
	d        *record.Device // nil: all that the projections say of it is right, and it has no entry since
	last     uint64         // index of its last entry
	compared uint64         // index of the last entry that the projection knew when it was compared
}

// device returns the device of an entry as the entries before left it.
func (u *auditor) device(e *record.Entry, c *chunk) (*folded, bool) {
	f := u.idx.devices[e.MAC]
	switch {
	case e.MAC.IsZero():
		return &folded{d: new(record.Device)}, true
	case u.idx.broken[e.MAC]:
		return nil, false
	case f == nil:
		f = &folded{d: new(record.Device)}
		u.idx.devices[e.MAC] = f
	case f.d == nil: // it has come back
		f.d = new(record.Device)
		if list, err := chain(c.s, e.MAC, e.Prev, 0); err == nil && e.Prev > 0 {
			for _, old := range list {
				f.d.Apply(old)
			}
		}
	}
	if e.Prev == f.last {
		return f, true
	}
	if !u.log.lost[e.Prev] {
		u.fault(int64(e.Index), "the chain of %s is broken: it names entry %d, the one before is %d", e.MAC, e.Prev, f.last)
	}
	u.giveUp(e.MAC)
	u.log.some = true
	return nil, false
}

// giveUp says nothing more about a device.
func (u *auditor) giveUp(mac chip.MAC) {
	u.idx.devices[mac].d, u.idx.broken[mac] = nil, true
}

// compare holds a device against its projection, once the log has come as far
// as the projection, and against what recent says of the entries behind.
func (u *auditor) compare(f *folded, have projected, recent map[string]tail) {
	d := f.d
	known, err := lastOf(have.payload)
	behind := recent[string(d.MAC[:])].last
	switch {
	case have.err != nil:
		u.fault(int64(d.Last), "its device's projection: %v", have.err)
	case err != nil:
		u.fault(int64(d.Last), "its device %s has no projection", d.MAC)
	case known > d.Last:
		return
	case known == d.Last && !projects(have.payload, d), known < d.Last && (known == 0 || known != f.compared):
		u.fault(int64(d.Last), "the projection of %s is not what its entries say", d.MAC)
	case known < d.Last && behind < d.Last && recent != nil:
		u.fault(int64(d.Last), "the projection of %s does not know this entry of it", d.MAC)
	default:
		f.compared = known
		if behind <= d.Last && recent != nil {
			f.d = nil
		}
		return
	}
	u.giveUp(d.MAC)
}

func projects(payload []byte, d *record.Device) bool {
	want, err := devicePayload(*d)
	return err == nil && bytes.Equal(want, payload)
}

// leftDevices compares the devices of which the projections say more than the
// log did so far, and looks for projections that no entry mentions. s has no
// entry behind those that were folded.
func (u *auditor) leftDevices(s *snapshot) {
	recent, err := s.recentDevices()
	if err != nil {
		u.fault(-1, "recent devices: %v", err)
		return
	}
	recent = maps.Clone(recent)
	for mac, f := range u.idx.devices {
		if f.d == nil {
			continue
		}
		payload, _, err := lookup(s, inDevices, string(mac[:]))
		known, e := lastOf(payload)
		later := max(known, recent[string(mac[:])].last)
		if err != nil || e != nil || later <= f.last {
			u.compare(f, projected{payload, err}, recent)
		} else if !u.log.lost[later] {
			u.fault(int64(f.last), "the projection of %s knows a later entry, %d", mac, later)
			u.giveUp(mac)
		}
	}
	for it, err := range s.items(inDevices, "") {
		if u.done {
			return
		}
		u.lastKnown(it, err, recent)
	}
	for key := range recent {
		if u.log.some {
			break
		}
		u.fault(-1, "recent devices: %s needs no entry there", readable(inRecent, key))
	}
}

// lastKnown looks whether a device is known up to its last entry, and takes it
// from the recent ones if it has to be one.
func (u *auditor) lastKnown(it boltfile.Item, err error, recent map[string]tail) {
	mac := chip.MAC{}
	if err != nil || copy(mac[:], it.Key) != len(it.Key) || len(it.Key) != len(mac) {
		u.fault(-1, "projection of devices: key %x: %v", it.Key, err)
		return
	}
	f, behind := u.idx.devices[mac], recent[string(it.Key)]
	if f == nil {
		if !u.log.some {
			u.fault(-1, "the projection of %s belongs to no entry", mac)
		}
		return
	}
	payload, err := unseal(inDevices, string(it.Key), it.Value)
	known, err2 := lastOf(payload)
	if u.idx.broken[mac] || known < behind.last {
		delete(recent, string(it.Key))
	}
	if !u.idx.broken[mac] && (err != nil || err2 != nil || max(known, behind.last) != f.last) {
		u.fault(int64(f.last), "the projection of %s has changed since", mac)
	}
}
