package ledger

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/json"
	"maps"
	"slices"

	"station/internal/esp32"
	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// indexFold makes the projections anew beside the log and holds the stored
// ones against them. A device is dropped as soon as the log has come to the
// last entry that its projection knows and both are equal: memory grows with
// the devices in work, not with all that ever were (but for their MACs).
type indexFold struct {
	devices map[esp32.MAC]*folded
	broken  map[esp32.MAC]bool // an entry is lost or wrong: nothing more can be told of the device
	lots    map[string]*record.Lot
	small   map[string]map[string][]byte // approvals, signers and tokens: bucket, key, payload
	shared  map[string]bool              // shared keys
	bound   int                          // keys that are not shared
	signers []*ecdsa.PublicKey
	off     bool // the projections cannot be judged: being rebuilt, of another version
}

// folded is a device as the log tells it.
type folded struct {
	d        *record.Device // nil: all that the projections say of it is right, and it has no entry since
	last     uint64         // index of its last entry
	compared uint64         // index of the last entry that the projection knew when it was compared
}

func (x *indexFold) init() {
	x.devices, x.broken = map[esp32.MAC]*folded{}, map[esp32.MAC]bool{}
	x.lots, x.shared = map[string]*record.Lot{}, map[string]bool{}
	x.small = map[string]map[string][]byte{inApprovals: {}, inSigners: {}, inTokens: {}}
}

func (x *indexFold) lot(name string) (*record.Lot, error) {
	if x.lots[name] == nil {
		x.lots[name] = &record.Lot{Name: name}
	}
	return x.lots[name], nil
}

// index folds one entry into the projections.
func (u *auditor) index(e *record.Entry, c *chunk) {
	x := &u.idx
	if x.off = x.off || e.Version > record.Version; x.off {
		return
	}
	f, ok := u.device(e, c)
	if !ok {
		return
	}
	d := f.d
	u.promises(e, d)
	_ = countLots(x.lot, *e, *d) // lot has no errors
	u.indexes(e, d, c)
	if e.MAC.IsZero() {
		return
	}
	d.Apply(*e)
	f.last = e.Index
	switch {
	case !u.Stale:
		u.compare(f, c.devices[e.MAC], c.recent)
	case settles[e.Kind]:
		f.d = nil // not all devices in memory
	}
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
func (u *auditor) giveUp(mac esp32.MAC) {
	u.idx.devices[mac].d, u.idx.broken[mac] = nil, true
}

// promises checks what no entry may break.
func (u *auditor) promises(e *record.Entry, d *record.Device) {
	n := int64(e.Index)
	switch e.Kind {
	case record.KeyAssigned:
		if d.KeyID != "" && d.KeyID != e.KeyID {
			u.fault(n, "%s gets a second key", e.MAC)
		}
	case record.SerialBound:
		if d.Serial != "" && d.Serial != e.Serial {
			u.fault(n, "%s gets a second serial number", e.MAC)
		}
	case record.NumberTaken:
		l, _ := u.idx.lot(e.Lot())
		if limit := l.Limit(*e); !u.log.some && (e.Number != l.Reserved+1 || limit > 0 && e.Number > limit) {
			u.fault(n, "number %d of %s, after %d of %d", e.Number, e.Lot(), l.Reserved, limit)
		}
	}
}

// indexes holds the entry against the projections that only look up.
func (u *auditor) indexes(e *record.Entry, d *record.Device, c *chunk) {
	x := &u.idx
	for _, p := range indexed(*e) {
		if p.bucket != inKeys {
			x.small[p.bucket][p.key] = p.payload
			continue
		}
		switch have := c.owners[p.key]; {
		case u.Stale:
		case have.err != nil:
			u.fault(int64(e.Index), "its key's owner: %v", have.err)
		case have.payload == nil:
			u.fault(int64(e.Index), "its key %s is not in the index of keys", p.key)
		case !bytes.Equal(have.payload, p.payload):
			u.fault(int64(e.Index), "its key %s belongs to another device too", p.key)
		}
		switch {
		case e.Policy == shared:
			x.shared[p.key] = true
		case e.Kind == record.SerialBound && d.Serial == "", e.Kind == record.KeyAssigned && d.KeyID == "":
			x.bound++
		}
	}
	if e.Kind == record.LedgerKey {
		key, err := x509.ParsePKIXPublicKey(e.Public)
		if p256, ok := key.(*ecdsa.PublicKey); err == nil && ok {
			x.signers = append(x.signers, p256)
		} else {
			u.fault(int64(e.Index), "its public key cannot be read")
		}
	}
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

// conclude checks what is about the whole. c is the last chunk; its snapshot
// has no entry behind it.
func (u *auditor) conclude(c *chunk) {
	u.Size, u.Devices = u.log.next, len(u.idx.devices)
	u.Root, _ = u.log.root()
	if u.Size == 0 {
		u.fault(-1, "the ledger has no entries")
	}
	u.checkpoints(c.s)
	u.projections(c.s)
	if !u.r.kept(c.s) {
		u.fault(-1, "the ledger changed faster than it could be checked: check it again")
	}
}

func (u *auditor) projections(s *snapshot) {
	u.state(s)
	if u.Newer > 0 || u.Stale {
		return // the newer program's projections are for it to judge
	}
	u.leftDevices(s)
	u.extraKeys(s)
	want := u.idx.small
	want[inLots] = map[string][]byte{}
	for name, l := range u.idx.lots {
		want[inLots][name], _ = json.Marshal(l)
	}
	if u.log.some {
		return // sums and indexes of lost entries cannot be known
	}
	for _, bucket := range slices.Sorted(maps.Keys(want)) {
		u.bucket(s, bucket, want[bucket])
	}
}

// state looks for what must be there and for what must not.
func (u *auditor) state(s *snapshot) {
	must := map[string]bool{stateFormat: true, stateProjection: true}
	for it, err := range s.items(inState, "") {
		key := string(it.Key)
		if err == nil {
			_, _, err = lookupNumber(s, inState, key)
		}
		switch {
		case err != nil:
			u.fault(-1, "state: %q: %v", key, err)
		case !must[key] && key != stateProjected:
			u.fault(-1, "state: %q means nothing", key)
		}
		delete(must, key)
	}
	for key := range must {
		u.fault(-1, "state: %q is missing", key)
	}
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
	mac := esp32.MAC{}
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

// extraKeys looks for keys that no entry binds. Every key that one binds has
// been found in the index, so if the numbers agree there is none.
func (u *auditor) extraKeys(s *snapshot) {
	n := 0
	for _, err := range s.items(inKeys, "") {
		if n++; err != nil {
			u.fault(-1, "index of keys: %v", err)
		}
	}
	if u.log.some || n == u.idx.bound+len(u.idx.shared) {
		return
	}
	for it := range s.items(inKeys, "") {
		key := string(it.Key)
		mac, bound, err := owner(s, key)
		if err != nil {
			u.fault(-1, "%v", err)
			continue
		}
		d, _, _ := bareDevice(s, mac)
		if bound && !u.idx.shared[key] && d.KeyID != key && serialName(d.Serial) != key {
			u.fault(-1, "the index of keys has %q, which no entry binds", key)
		}
	}
}

// bucket compares a small projection with what the log says, both ways.
func (u *auditor) bucket(s *snapshot, bucket string, want map[string][]byte) {
	for it, err := range s.items(bucket, "") {
		if err != nil {
			u.fault(-1, "%s: %v", bucket, err)
			continue
		}
		key := string(it.Key)
		payload, err := unseal(bucket, key, it.Value)
		expect, known := want[key]
		switch {
		case err != nil:
			u.fault(-1, "%v", err)
		case !known:
			u.fault(-1, "%s: %q belongs to no entry", bucket, key)
		case !bytes.Equal(payload, expect):
			u.fault(-1, "%s: %q is not what the entries say", bucket, key)
		}
		delete(want, key)
	}
	for key := range want {
		u.fault(-1, "%s: %q is missing", bucket, key)
	}
}

// checkpoints checks those in the ledger and those kept elsewhere.
func (u *auditor) checkpoints(s *snapshot) {
	raw, err := entryAt(s, 0)
	first, _ := decode(raw)
	if err != nil {
		return // reported with the entry
	}
	trusted := u.Trusted
	if len(trusted) == 0 {
		trusted = u.idx.signers
	}
	for it, err := range s.items(inCheckpoints, "") {
		if err != nil {
			u.fault(-1, "checkpoints: %v", err)
			continue
		}
		u.Checkpoints++
		u.checkpoint(s, first.Origin, it.Value, trusted, string(it.Key))
	}
	for _, signed := range u.Kept {
		u.checkpoint(s, first.Origin, signed, trusted, "")
	}
}

// checkpoint checks one; key is where the ledger keeps it.
func (u *auditor) checkpoint(s *snapshot, origin string, signed []byte, trusted []*ecdsa.PublicKey, key string) {
	which := "checkpoint kept elsewhere"
	if key != "" {
		which = "checkpoint in the ledger"
	}
	c, err := OpenCheckpoint(signed, trusted...)
	if err == nil {
		err = s.continues(c, u.Size)
	}
	switch {
	case err != nil:
		u.fault(-1, "%s: %v", which, err)
	case c.Origin != origin:
		u.fault(-1, "%s: it is of another ledger, %s", which, c.Origin)
	case key != "" && key != number(c.Size):
		u.fault(-1, "%s: of %d entries, but kept under another size", which, c.Size)
	}
}
