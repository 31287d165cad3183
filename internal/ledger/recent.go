package ledger

import (
	"encoding/binary"
	"maps"

	"station/internal/chip"
	"station/internal/record"
)

// A device's projection is the greatest part of what an entry changes, and
// lies in a tree of its own: written with every entry it would cost as many
// pages as the entry. So while a device is in work its projection may be some
// entries behind, and the bucket of recent devices, small enough to lie in the
// file's root page, says which entry is the device's last: whoever reads the
// device folds those few on top.
const (
	maxRecent = 48 // devices; more would not fit into a quarter of a page, where bbolt keeps a bucket inline
	maxTail   = 16 // entries that a projection may be behind
)

// tail is what lies between a device's projection and its last entry.
type tail struct {
	last  uint64 // index of the device's last entry
	count uint8  // entries that the projection does not know
}

func (t tail) payload() []byte { return append([]byte(number(t.last)), t.count) }

func openTail(payload []byte) (tail, error) {
	if len(payload) != 9 {
		return tail{}, corrupt("a recent device's last entry is no index")
	}
	return tail{binary.BigEndian.Uint64(payload), payload[8]}, nil
}

// settles are the kinds behind which a device rests for a long time, so that
// its projection is worth writing.
var settles = map[record.Kind]bool{record.Sealed: true, record.Failed: true, record.Released: true}

// store brings the projections of a device up to its last entry.
func (t *txn) store(d record.Device, kind record.Kind) error {
	recent, err := t.recentDevices()
	if err != nil {
		return err
	}
	mac := string(d.MAC[:])
	behind, was := recent[mac]
	if d.First == d.Last || settles[kind] || behind.count == maxTail {
		return t.settle(d, was)
	}
	behind = tail{d.Last, behind.count + 1}
	if err := t.put(inRecent, mac, behind.payload()); err != nil {
		return err
	}
	recent[mac] = behind
	if len(recent) <= maxRecent {
		return nil
	}
	oldest := mac
	for mac, b := range recent {
		if b.last < recent[oldest].last {
			oldest = mac
		}
	}
	old, err := t.device(chip.MAC([]byte(oldest)))
	if err != nil {
		return err
	}
	return t.settle(old, true)
}

// settle writes a device's projection; was tells that it is a recent one.
func (t *txn) settle(d record.Device, was bool) error {
	payload, err := devicePayload(d)
	if err != nil {
		return err
	}
	if err := t.put(inDevices, string(d.MAC[:]), payload); err != nil || !was {
		return err
	}
	delete(t.recent, string(d.MAC[:]))
	return t.bucket(inRecent).Delete(d.MAC[:])
}

// recentDevices are the devices of the bucket recent, as this transaction leaves them.
func (t *txn) recentDevices() (map[string]tail, error) {
	switch {
	case t.recent != nil:
	case t.known.recent != nil:
		t.recent = maps.Clone(t.known.recent)
	default:
		if err := t.trust(inRecent, ""); err != nil {
			return nil, err
		}
		all := map[string]tail{}
		err := t.bucket(inRecent).ForEach(func(k, v []byte) error { return addRecent(all, k, v) })
		if err != nil {
			return nil, err
		}
		t.recent = all
	}
	return t.recent, nil
}

// recentDevices are the devices of the bucket recent in a snapshot.
func (s *snapshot) recentDevices() (map[string]tail, error) {
	if s.recent != nil {
		return s.recent, nil
	}
	all := map[string]tail{}
	for it, err := range s.items(inRecent, "") {
		if err == nil {
			err = addRecent(all, it.Key, it.Value)
		}
		if err != nil {
			return nil, err
		}
	}
	s.recent = all
	return all, nil
}

// addRecent checks and adds one.
func addRecent(all map[string]tail, key, value []byte) error {
	if len(key) != len(chip.MAC{}) {
		return corrupt("recent devices: key %x is no MAC", key)
	}
	payload, err := unseal(inRecent, string(key), value)
	if err == nil {
		all[string(key)], err = openTail(payload)
	}
	return err
}

// tailOf returns the tail of one device; a zero one if its projection is whole.
func tailOf(r reader, mac chip.MAC) (tail, error) {
	payload, found, err := lookup(r, inRecent, string(mac[:]))
	if err != nil || !found {
		return tail{}, err
	}
	return openTail(payload)
}

// applyTail folds the entries that a projection is behind on top of it.
func applyTail(r reader, d *record.Device, behind tail) error {
	if behind.last == 0 {
		return nil
	}
	list, err := chain(r, d.MAC, behind.last, d.Last)
	if err != nil {
		return err
	}
	for _, e := range list {
		d.Apply(e)
	}
	return nil
}
