package ledger

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"slices"
	"time"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/ledger/boltfile"
	"station/internal/record"
)

// head is where the log stands.
type head struct {
	size      uint64
	last      time.Time // of the newest entry
	simulated bool
	format    uint64 // the newest version of its entries
	// peaks are the roots of the full subtrees at the right edge of the tree:
	// peaks[i] spans 1<<i entries if bit i of size is set.
	peaks [64]tlog.Hash
}

// txn is one write transaction.
type txn struct {
	head
	tx   *bbolt.Tx
	opt  Options
	b    map[string]*bbolt.Bucket
	lots map[string]*record.Lot // those that were touched
	// Devices as this transaction left them.
	devices map[chip.MAC]record.Device
	recent  map[string]tail // nil before they are asked for
	known   known
	file    boltfile.File // to check pages before bbolt trusts them; may be nil
	base    *snapshot     // what it held when the transaction began
	kept    *dictionaries // those that are in the file
	// dictionaries are those that this transaction made.
	dictionaries map[uint64]heldDictionary
}

// known is what the transactions before left: to read and decode it again would
// cost as much as all the rest.
type known struct {
	devices map[chip.MAC]record.Device
	lots    map[string]record.Lot
	recent  map[string]tail // nil if it is not known
}

func newKnown() known {
	return known{devices: map[chip.MAC]record.Device{}, lots: map[string]record.Lot{}}
}

// remember keeps about as many devices as a line has in work.
func (k *known) remember(t *txn) {
	if len(k.devices)+len(t.devices)+len(k.lots)+len(t.lots) > 512 {
		*k = newKnown()
	}
	if t.recent != nil {
		k.recent = t.recent
	}
	if len(t.devices)+len(t.lots) > 512 {
		return
	}
	maps.Copy(k.devices, t.devices)
	for name, l := range t.lots {
		k.lots[name] = *l
	}
}

func newTxn(tx *bbolt.Tx, h head, o Options, file boltfile.File, kept *dictionaries) *txn {
	return &txn{kept: kept, dictionaries: map[uint64]heldDictionary{}, head: h, tx: tx, opt: o, file: file, b: map[string]*bbolt.Bucket{},
		lots: map[string]*record.Lot{}, devices: map[chip.MAC]record.Device{}, known: newKnown()}
}

func (t *txn) bucket(name string) *bbolt.Bucket {
	b := t.b[name]
	if b == nil {
		b = t.tx.Bucket([]byte(name))
		if name == inEntries {
			b.FillPercent = 1 // nothing is ever put between two entries
		}
		t.b[name] = b
	}
	return b
}

func (t *txn) get(bucket, key string) ([]byte, error) {
	if err := t.trust(bucket, key); err != nil {
		return nil, err
	}
	return t.bucket(bucket).Get([]byte(key)), nil
}

// put sets a projection's key. Whoever puts what it has not got asks for trust.
func (t *txn) put(bucket, key string, payload []byte) error {
	return t.bucket(bucket).Put([]byte(key), seal(bucket, key, payload))
}

// trust checks the pages that lead to a key. bbolt does not: a page that is
// damaged can make it give pages free that are in use, or never come back. The
// pages that this process wrote itself need no check.
func (t *txn) trust(bucket, key string) error {
	if t.file == nil {
		return nil
	}
	if t.base == nil {
		s, err := boltfile.Open(t.file)
		if err != nil {
			return inFile(err)
		}
		t.base = newSnapshot(s, t.kept)
	}
	return inFile(t.base.CheckPath(bucket, []byte(key)))
}

func (t *txn) setState(key string, n uint64) error { return t.put(inState, key, []byte(number(n))) }

func (t *txn) device(mac chip.MAC) (record.Device, error) {
	if d, ok := t.devices[mac]; ok {
		return d, nil
	}
	if d, ok := t.known.devices[mac]; ok {
		return d, nil
	}
	d, _, err := bareDevice(t, mac)
	return d, err
}

// add writes one entry and what it changes in the projections.
func (t *txn) add(e record.Entry) (record.Entry, error) {
	d, err := t.device(e.MAC)
	if err != nil {
		return e, err
	}
	t.stamp(&e, d)
	if err := t.allow(&e, d); err != nil {
		return e, err
	}
	raw, e, err := encode(e)
	if err != nil {
		return e, err
	}
	return e, t.write(raw, e, d)
}

// write stores an entry, and what it changes in the projections; d is its device
// so far.
func (t *txn) write(raw []byte, e record.Entry, d record.Device) error {
	if t.size > 0 && dictionaryOf(t.size) == t.size {
		if err := t.makeDictionary(t.size); err != nil {
			return err
		}
	}
	if err := t.putEntry(raw); err != nil {
		return err
	}
	t.size, t.last = t.size+1, e.Time
	if err := t.raiseFormat(); err != nil {
		return err
	}
	return t.project(e, d)
}

// raiseFormat keeps an older program from writing on behind entries that it
// cannot read. One that has only looked at an older ledger leaves it as it was.
func (t *txn) raiseFormat() error {
	if t.format >= record.Version {
		return nil
	}
	t.format = record.Version
	return t.setState(stateFormat, record.Version)
}

// putEntry stores the next entry, packed.
func (t *txn) putEntry(raw []byte) error {
	stored, err := pack(t, t.size, raw)
	if err != nil {
		return err
	}
	return t.bucket(inEntries).Put([]byte(number(t.size)), t.leaf(raw, stored))
}

// leaf puts the hashes that the entry completes in front of what is stored of
// it: its own, and one for each subtree whose last leaf it is.
func (t *txn) leaf(raw, stored []byte) []byte {
	value := make([]byte, 0, hashCount(t.size)*tlog.HashSize+len(stored))
	h := tlog.RecordHash(raw)
	level := 0
	for ; t.size>>level&1 == 1; level++ {
		value = append(value, h[:]...)
		h = tlog.NodeHash(t.peaks[level], h)
	}
	t.peaks[level] = h
	value = append(value, h[:]...)
	return append(value, stored...)
}

// stamp sets what the ledger knows better than the caller.
func (t *txn) stamp(e *record.Entry, d record.Device) {
	e.Version, e.Index, e.Prev = record.Version, t.size, d.Last
	e.Time = t.opt.Now().UTC().Truncate(time.Millisecond)
	e.ClockBack = clockBack(t.last, e.Time)
	e.Simulated = e.Simulated || !t.simulated && d.Simulated // also what a person did to it
	if e.Station == "" {
		e.Station = t.opt.Station
	}
	if e.Software == "" {
		e.Software = t.opt.Software
	}
}

// clockBack is by how many seconds now lies before the entry before.
func clockBack(before, now time.Time) float64 { return max(0, before.Sub(now).Seconds()) }

// allow refuses what contradicts the log.
func (t *txn) allow(e *record.Entry, d record.Device) error {
	if mixed(t.simulated, *e, d) {
		return record.ErrMixed
	}
	if err := errors.Join(record.CheckForm(e), record.CheckPerson(*e)); err != nil {
		return err
	}
	if check, ok := rules[e.Kind]; ok {
		return check(t, e, d)
	}
	if e.Kind == "" {
		return errors.New("an entry needs a kind")
	}
	return nil
}

// mixed tells whether the entry is of another kind than what it would stand
// among. Of a virtual chip, which has a MAC that no real one has, a real ledger
// keeps entries too: marked, and never with a real one's in one chain. What was
// taken for real before chips were asked, and has such a MAC, is known as
// virtual from the first marked entry on.
func mixed(simulated bool, e record.Entry, d record.Device) bool {
	if simulated {
		return !e.Simulated
	}
	return e.Simulated && !e.MAC.Local() || d.Simulated && !e.Simulated
}

// rules are the invariants by kind of entry. A kind without one is a remark.
var rules = map[record.Kind]func(*txn, *record.Entry, record.Device) error{
	record.LedgerCreated: func(t *txn, _ *record.Entry, _ record.Device) error {
		if t.size > 0 {
			return errors.New("only the first entry creates the ledger")
		}
		return nil
	},
	record.KeyAssigned:     (*txn).allowKey,
	record.Moved:           (*txn).allowMove,
	record.SerialBound:     (*txn).allowSerial,
	record.IdentityMade:    (*txn).allowIdentity,
	record.IdentityRevoked: (*txn).allowRevocation,
	record.PlanApproved:    (*txn).allowApproval,
	record.BatchOpened:     (*txn).allowOpen,
	record.BatchAmended:    (*txn).allowAmend,
	record.BatchClosed:     (*txn).allowClose,
	record.NumberTaken:     (*txn).takeNumber,
	record.NumbersLeased:   (*txn).allowLease,
	record.NumbersReturned: (*txn).allowLease,
}

// shared is the key policy under which many devices have one key.
const shared = "shared"

// allowKey keeps the promises about keys: a device has one key for a purpose,
// for ever; a key has one device, unless its policy says otherwise, and there
// one purpose.
func (t *txn) allowKey(e *record.Entry, d record.Device) error {
	if len(e.Keys) == 0 || e.MAC.IsZero() {
		return errors.New("a key needs its ID and its device's MAC")
	}
	for i, k := range e.Keys {
		had, same := d.KeyFor(k.Purpose), idOf(&d, k.ID)
		switch {
		case k.Purpose == "":
			return fmt.Errorf("a key of a device needs a purpose, and %s has none", k.ID)
		case had.ID != "" && had.ID != k.ID:
			return fmt.Errorf("%w: %s has %s, not %s", record.ErrKeyBound, e.MAC, had.ID, k.ID)
		case same.ID != "" && same.Purpose != k.Purpose, slices.ContainsFunc(e.Keys[:i], func(o record.Key) bool { return o.ID == k.ID }):
			return fmt.Errorf("%w: %s would be the key of %s for two purposes", record.ErrKeyTaken, k.ID, e.MAC)
		}
		if err := t.allowOwner(k, e.MAC); err != nil {
			return err
		}
	}
	return nil
}

// allowOwner refuses a key that belongs to another device.
func (t *txn) allowOwner(k record.Key, device chip.MAC) error {
	mac, bound, err := owner(t, k.ID)
	switch {
	case err != nil:
		return err
	case !bound:
		return nil
	case mac.IsZero() && k.Policy != shared:
		return fmt.Errorf("%w: %s is a shared key", record.ErrKeyTaken, k.ID)
	case mac.IsZero():
		return nil
	case mac != device || k.Policy == shared:
		return fmt.Errorf("%w: %s belongs to %s", record.ErrKeyTaken, k.ID, mac)
	}
	return nil
}

// allowSerial keeps the promises about serial numbers: no device has two, and
// none is given twice.
func (t *txn) allowSerial(e *record.Entry, d record.Device) error {
	if e.Serial == "" || e.MAC.IsZero() {
		return errors.New("a serial number needs its device's MAC")
	}
	if d.Serial != "" && d.Serial != e.Serial {
		return fmt.Errorf("%w: %s has %s, not %s", record.ErrSerialTaken, e.MAC, d.Serial, e.Serial)
	}
	mac, bound, err := owner(t, serialName(e.Serial, e.Simulated))
	if err == nil && bound && mac != e.MAC {
		err = fmt.Errorf("%w: %s belongs to %s", record.ErrSerialTaken, e.Serial, mac)
	}
	return err
}

func (t *txn) allowApproval(e *record.Entry, _ record.Device) error {
	if e.Plan == "" || e.Operator == "" {
		return errors.New("an approval needs the plan's digest and who approves it")
	}
	return errors.Join(t.trust(inApprovals, approval(e.Station, e.Plan)), t.trust(inApprovals, approval(e.Station, revision(e.Job, e.Revision))))
}

func (t *txn) allowOpen(e *record.Entry, _ record.Device) error {
	l, err := t.lot(e.Lot())
	if err != nil {
		return err
	}
	if !l.Opened.IsZero() {
		return fmt.Errorf("%w: %q was opened before", record.ErrBatch, e.Batch)
	}
	return record.CheckBatch(e.Batch)
}

// allowAmend gives an open batch another quota: never less than it has made.
func (t *txn) allowAmend(e *record.Entry, d record.Device) error {
	if err := t.allowClose(e, d); err != nil {
		return err
	}
	l, err := t.lot(e.Lot())
	if err != nil {
		return err
	}
	if e.Quota < 0 || e.Quota > 0 && e.Quota < l.Passed {
		return fmt.Errorf("%w: %q has %d devices that passed, its quota cannot be %d", record.ErrQuota, e.Batch, l.Passed, e.Quota)
	}
	return nil
}

func (t *txn) allowClose(e *record.Entry, _ record.Device) error {
	l, err := t.lot(e.Lot())
	if err != nil {
		return err
	}
	if e.Batch == "" || l.Opened.IsZero() || !l.Closed.IsZero() {
		return fmt.Errorf("%w: %q is not open", record.ErrBatch, e.Batch)
	}
	return nil
}

// takeNumber gives the device the lot's next number.
func (t *txn) takeNumber(e *record.Entry, d record.Device) error {
	name := e.Lot()
	switch {
	case e.MAC.IsZero() || name == "":
		return errors.New("a number needs a device and a batch or job")
	case d.Numbers[name] > 0:
		return fmt.Errorf("%s has number %d of %s", e.MAC, d.Numbers[name], name)
	}
	l, err := t.lot(name)
	if err != nil {
		return err
	}
	as, err := t.declared(*e)
	if err != nil {
		return err
	}
	e.Undeclared = e.Undeclared && e.Batch != "" && as.Opened.IsZero()
	switch {
	case !as.Closed.IsZero():
		return fmt.Errorf("%w: %q is closed", record.ErrBatch, e.Batch)
	case e.Undeclared:
		if err := record.CheckBatch(e.Batch); err != nil {
			return fmt.Errorf("%w: %w", record.ErrBatch, err)
		}
	case e.Batch != "" && as.Opened.IsZero():
		return fmt.Errorf("%w: %q was never opened; \"station batch open\" opens it", record.ErrBatch, e.Batch)
	case !as.Opened.IsZero() && as.JobHash != "" && e.JobHash != as.JobHash:
		return fmt.Errorf("%w: %q was opened for job %s (%s), this one is %s (%s)", record.ErrBatch, e.Batch, as.Job, as.JobHash, e.Job, e.JobHash)
	}
	if limit := as.Limit(*e); limit > 0 && l.Reserved >= limit {
		return fmt.Errorf("%w: %s may have %d devices%s", record.ErrQuota, name, limit, room(*e, *l, as))
	}
	e.Number = l.Reserved + 1
	site, err := l.NextNumber()
	if err != nil {
		return fmt.Errorf("%w: %s", err, name)
	}
	if site > 0 {
		e.About = record.AboutOf(record.Numbered{Site: site})
	}
	return nil
}

// allowLease takes numbers that the site has leased, and lets them go again.
func (t *txn) allowLease(e *record.Entry, _ record.Device) error {
	if e.Lot() == "" || !e.MAC.IsZero() {
		return errors.New("numbers are those of a batch or job")
	}
	l, err := t.lot(e.Lot())
	if err == nil {
		err = l.CheckLease(*e)
	}
	return err
}

// room says how a batch gets a place for a device more, where places of it are used
// up that no device of it has.
func room(e record.Entry, l, as record.Lot) string {
	free := l.Reserved - l.Devices
	if free <= 0 || as.Quota == 0 || e.Quota > 0 && e.Quota <= as.Quota {
		return ""
	}
	return fmt.Sprintf(", and %d of its numbers belong to devices that have moved to another batch or have no key; \"station batch amend %s --quota N\" makes room", free, e.Batch)
}

// declaredIn names the lot whose opening, quota and closing hold for the entry.
// A simulated device in a real ledger obeys its batch, and is not counted there.
func declaredIn(e record.Entry, simulated bool) string {
	if e.Batch == "" {
		return e.Lot()
	}
	return record.BatchLot(e.Batch, simulated)
}

func (t *txn) declared(e record.Entry) (record.Lot, error) {
	name := declaredIn(e, t.simulated)
	l, err := t.lot(name)
	if err != nil {
		return record.Lot{}, err
	}
	if l.First == 0 && name != e.Lot() {
		delete(t.lots, name) // there is none, and this entry makes none
	}
	return *l, nil
}

// rootOf is the tree's root from the hashes stored with the entries.
func rootOf(r reader, size uint64) (tlog.Hash, error) {
	if size == 0 || bits.Len64(size) > 62 {
		return tlog.Hash{}, errNoEntries
	}
	return tlog.TreeHash(int64(size), tree(r))
}
