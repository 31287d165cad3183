package ledger

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/json"
	"maps"
	"slices"

	"station/internal/chip"
	"station/internal/record"
)

// indexFold makes the projections anew beside the log and holds the stored
// ones against them. A device is dropped as soon as the log has come to the
// last entry that its projection knows and both are equal: memory grows with
// the devices in work, not with all that ever were (but for their MACs).
type indexFold struct {
	devices map[chip.MAC]*folded
	broken  map[chip.MAC]bool // an entry is lost or wrong: nothing more can be told of the device
	lots    map[string]*record.Lot
	small   map[string]map[string][]byte // approvals, signers and tokens: bucket, key, payload
	shared  map[string]bool              // shared keys
	bound   int                          // keys that are not shared
	owners  map[[16]byte]chip.MAC        // of keys, by the hash of their ID, where their index is not asked
	signers []*ecdsa.PublicKey
	off     bool // the projections cannot be judged: being rebuilt, of another version
}

func (x *indexFold) init() {
	x.devices, x.broken = map[chip.MAC]*folded{}, map[chip.MAC]bool{}
	x.lots, x.shared, x.owners = map[string]*record.Lot{}, map[string]bool{}, map[[16]byte]chip.MAC{}
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
	after := applied(*d, *e)
	_ = countLots(x.lot, *e, *d, after) // lot has no errors
	u.indexes(e, d, c)
	if e.MAC.IsZero() {
		return
	}
	*d, f.last = after, e.Index
	switch {
	case !u.Stale:
		u.compare(f, c.devices[e.MAC], c.recent)
	case settles[e.Kind]:
		f.d = nil // not all devices in memory
	}
}

// promises checks what no entry may break.
func (u *auditor) promises(e *record.Entry, d *record.Device) {
	n := int64(e.Index)
	if d.Simulated && !e.Simulated {
		u.fault(n, mixedUp)
	}
	switch e.Kind {
	case record.KeyAssigned:
		for _, k := range e.Keys {
			if had := d.KeyFor(k.Purpose); had.ID != "" && had.ID != k.ID {
				u.fault(n, "%s gets a second key for %s", e.MAC, k.Purpose)
			}
			if had := idOf(d, k.ID); had.ID != "" && had.Purpose != k.Purpose {
				u.fault(n, "%s gets %s for %s, and has it for %s", e.MAC, k.ID, k.Purpose, had.Purpose)
			}
		}
	case record.SerialBound:
		if d.Serial != "" && d.Serial != e.Serial {
			u.fault(n, "%s gets a second serial number", e.MAC)
		}
	case record.Moved:
		if err := u.moved(e, d); err != nil {
			u.fault(n, "%v", err)
		}
	case record.IdentityMade, record.IdentityRevoked:
		if err := identityFits(e, d); err != nil {
			u.fault(n, "%v", err)
		}
	case record.NumberTaken:
		l, _ := u.idx.lot(e.Lot())
		as := l
		if name := declaredIn(*e, u.log.simulated); name != e.Lot() {
			as = cmp.Or(u.idx.lots[name], &record.Lot{})
		}
		if limit := as.Limit(*e); !u.log.some && (e.Number != l.Reserved+1 || limit > 0 && e.Number > limit) {
			u.fault(n, "number %d of %s, after %d of %d", e.Number, e.Lot(), l.Reserved, limit)
		}
		u.lease(e)
	case record.NumbersLeased, record.NumbersReturned:
		u.lease(e)
	}
}

// lease checks what the entry says of numbers that the site gave.
func (u *auditor) lease(e *record.Entry) {
	l, _ := u.idx.lot(e.Lot())
	if err := l.CheckLease(*e); err != nil && !u.log.some {
		u.fault(int64(e.Index), "%s: %v", e.Lot(), err)
	}
}

// indexes holds the entry against the projections that only look up.
func (u *auditor) indexes(e *record.Entry, d *record.Device, c *chunk) {
	x := &u.idx
	for _, p := range indexed(e) {
		if p.bucket != inKeys {
			x.small[p.bucket][p.key] = p.payload
			continue
		}
		switch have := c.owners[p.key]; {
		case u.Stale:
			u.owned(e, p)
		case have.err != nil:
			u.fault(int64(e.Index), "its key's owner: %v", have.err)
		case have.payload == nil:
			u.fault(int64(e.Index), "its key %s is not in the index of keys", p.key)
		case !bytes.Equal(have.payload, p.payload):
			u.fault(int64(e.Index), takenTwice, p.key)
		}
		switch {
		case p.payload == nil:
			x.shared[p.key] = true
		case e.Kind == record.SerialBound && d.Serial == "", e.Kind == record.KeyAssigned && idOf(d, p.key).ID == "",
			e.Kind == record.IdentityMade && !hasName(d, p.key), e.Kind == record.Moved && !isNameOf(d, p.key):
			x.bound++
		}
	}
	if e.Kind == record.LedgerKey {
		if p256, err := ParsePublicKey(e.Public); err == nil {
			x.signers = append(x.signers, p256)
		} else {
			u.fault(int64(e.Index), "its public key cannot be read")
		}
	}
}

const takenTwice = "its key %s belongs to another device too"

// owned holds a key of the entry against the entries before.
func (u *auditor) owned(e *record.Entry, p index) {
	sum := sha256.Sum256([]byte(p.key))
	id, mac := [16]byte(sum[:]), chip.MAC{}
	copy(mac[:], p.payload)
	if had, ok := u.idx.owners[id]; ok && had != mac {
		u.fault(int64(e.Index), takenTwice, p.key)
	}
	u.idx.owners[id] = mac
}

// conclude checks what is about the whole. c is the last chunk; its snapshot
// has no entry behind it.
func (u *auditor) conclude(c *chunk) {
	u.Size, u.Devices = u.log.next, len(u.idx.devices)
	u.Root, _ = u.log.root()
	if u.Size == 0 {
		u.fault(-1, "the ledger has no entries")
	}
	if !u.Indexes {
		u.checkpoints(c.s)
	}
	u.projections(c.s)
	if !u.r.kept(c.s) {
		u.fault(-1, "the ledger changed faster than it could be checked: check it again")
	}
}

func (u *auditor) projections(s *snapshot) {
	u.state(s)
	if u.Log {
		u.beyond(s)
	}
	if u.unknown > 0 {
		u.fault(-1, "the indexes say that they are of version %d, which this program does not know: let the newest program verify them, or a command that writes make them anew", u.unknown)
	}
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
		case !must[key] && key != stateProjected && key != stateCopy:
			u.fault(-1, "state: %q means nothing", key)
		}
		delete(must, key)
	}
	for key := range must {
		u.fault(-1, "state: %q is missing", key)
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
		if bound && !u.idx.shared[key] && idOf(&d, key).ID == "" && serialName(d.Serial, d.Simulated) != key && !hasName(&d, key) {
			u.fault(-1, "the index of keys has %q, which no entry binds", key)
		}
	}
}

// idOf is the key of the device that has this ID; the zero Key where none has.
func idOf(d *record.Device, id string) record.Key {
	for _, k := range d.Keys {
		if k.ID == id {
			return k
		}
	}
	return record.Key{}
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
	_, u.Copy, _ = lookupNumber(s, inState, stateCopy) // what is wrong with it is reported with the state
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
	if u.Site != nil && u.Cosigned == 0 {
		u.fault(-1, "checkpoints: none that is right was signed by the site too")
	}
}

// checkpoint checks one; key is where the ledger keeps it.
func (u *auditor) checkpoint(s *snapshot, origin string, signed []byte, trusted []*ecdsa.PublicKey, key string) {
	which := "checkpoint kept elsewhere"
	if key != "" {
		which = "checkpoint in the ledger"
	}
	if u.Site != nil && SignedBy(signed, u.Site) {
		trusted = append(slices.Clip(trusted), u.Site)
	}
	c, err := OpenCheckpoint(signed, trusted...)
	if err == nil {
		err = s.continues(c, u.Size)
	}
	if err == nil && key != "" && c.Previous > 0 && !u.Copy {
		before, missing := s.get(inCheckpoints, number(c.Previous))
		if missing != nil || before == nil {
			u.fault(-1, "%s: of %d entries, names the one of %d entries before it, which is missing", which, c.Size, c.Previous)
		}
	}
	switch {
	case err != nil:
		u.fault(-1, "%s: %v", which, err)
	case c.Origin != origin:
		u.fault(-1, "%s: it is of another ledger, %s", which, c.Origin)
	case key != "" && key != number(c.Size):
		u.fault(-1, "%s: of %d entries, but kept under another size", which, c.Size)
	case u.Site != nil && SignedBy(signed, u.Site):
		u.Cosigned = max(u.Cosigned, c.Size)
	}
}
