package record

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
)

// Device is what the ledger knows of one MAC: the projection of its entries.
// What the device is (job, batch, serial number, key, images) was set by the
// entries that gave it these or burned or sealed it; a visit alone adds only
// that it was seen.
type Device struct {
	MAC       chip.MAC  `json:"mac"`
	Chip      string    `json:"chip,omitempty"` // name of its family: as seen last before it had a key or an identity; "" was never seen
	First     uint64    `json:"first"`          // index of the first and the last entry
	Last      uint64    `json:"last"`
	Seen      time.Time `json:"seen"`
	Updated   time.Time `json:"updated"`
	Job       string    `json:"job"` // under which it was worked on last
	Revision  string    `json:"revision,omitempty"`
	JobHash   string    `json:"jobDigest"`
	Batch     string    `json:"batch"`
	Visited   string    `json:"visited,omitempty"` // the lot of the last visit before it had a key
	Serial    string    `json:"serial"`
	Simulated bool      `json:"simulated"`
	// Numbers are those that it has taken, by lot: one in each, for good.
	Numbers map[string]int `json:"numbers,omitempty"`
	// Keys are its keys, one for each purpose, without their escrow. EscrowTo is
	// "unknown" of an escrow in entries of version 1.
	Keys       []Key     `json:"keys,omitempty"`
	Identity   *Identity `json:"identity,omitempty"` // nil: none, nor revoked
	Images     []Image   `json:"images,omitempty"`   // as verified last,
	Flashed    uint64    `json:"flashed,omitempty"`  // by the entry of this index
	Fuses      Fuses     `json:"fuses,omitempty"`    // as admitted first, or as our last burn left them
	Intended   []string  `json:"intended,omitempty"` // burn stages begun
	Settled    []string  `json:"settled,omitempty"`  // burn stages read back as wanted
	Runs       int       `json:"runs"`
	Failures   int       `json:"failures,omitempty"` // visits that ended in RETRY since it was sealed or released
	Booted     bool      `json:"booted"`
	Sealed     bool      `json:"sealed"`
	SealedJob  string    `json:"sealedJob,omitempty"`    // name and revision of the job that sealed it last,
	SealedHash string    `json:"sealedDigest,omitempty"` // and its digest
	Verdict    Verdict   `json:"verdict"`                // of the last run that ended
	Code       Code      `json:"code"`
	SetAside   bool      `json:"setAside"`             // SCRAP or QUARANTINE, until an engineer releases it
	SetAsideBy Code      `json:"setAsideBy,omitempty"` // the code
	SetAsideAs Verdict   `json:"setAsideAs,omitempty"` // SCRAP or QUARANTINE
	// Conflict is the newest that the site told of; Conflicted, that nobody has settled it.
	Conflict   string `json:"conflict,omitempty"`
	Conflicted bool   `json:"conflicted,omitempty"`
	// Moves is how often it moved from bench to bench: of two ledgers that have it, the one
	// that knows of more moves is newer.
	Moves int `json:"moves,omitempty"`
	// Elsewhere is whose it is where that is another bench, as the site says: no ledger
	// keeps it.
	Elsewhere *Elsewhere `json:"-"`
}

// Apply folds one entry into the device. It is the only way a Device changes,
// so that the projection can always be rebuilt from the log. The device keeps
// no memory of the entry's. Whoever changes what it does raises the ledger's
// projection version, so that ledgers in use are projected anew.
func (d *Device) Apply(e Entry) { d.apply(&e, false) }

// Fold does what Apply does with each of the entries, the oldest first, and keeps parts of
// their memory: it is for whoever forgets both together.
func (d *Device) Fold(entries []Entry) {
	for i := range entries {
		d.apply(&entries[i], true)
	}
}

// apply folds one entry; shares tells that the device may keep lists of it.
func (d *Device) apply(e *Entry, shares bool) {
	if d.MAC.IsZero() {
		d.MAC, d.First, d.Seen = e.MAC, e.Index, e.Time
	}
	d.Last, d.Updated = e.Index, e.Time
	d.Simulated = d.Simulated || e.Simulated
	if makes[e.Kind] || !d.begun() && e.Code != Doubtful {
		d.made(e)
	}
	d.fused(e, shares)
	if len(d.Keys) == 0 && e.Code != Doubtful { // which is of no lot
		d.Visited = cmp.Or(lot(e.Batch, e.Job, e.Simulated), d.Visited)
	}
	if e.Identity != nil && len(d.Keys) == 0 && !d.Identity.Known() {
		d.Chip = cmp.Or(e.Identity.Chip, chip.Known(nil).Name)
	}
	switch e.Kind {
	case DeviceSeen:
		d.Runs++
	case Admitted:
		if e.Decision != DecisionQuarantine { // the device itself has shown that nothing is wrong
			d.SetAside, d.SetAsideBy, d.SetAsideAs = false, "", ""
		}
	case Moved:
		d.moved(e)
	case SerialBound:
		d.Serial = e.Serial
	case KeyAssigned:
		d.keyed(e)
	case IdentityMade, IdentityRevoked:
		d.identified(e)
	case NumberTaken:
		d.Numbers = maps.Clone(d.Numbers) // copies of a device may share them
		if d.Numbers == nil {
			d.Numbers = map[string]int{}
		}
		d.Numbers[e.Lot()] = e.Number
	case ConflictFound, ConflictSettled:
		d.conflicts(*e)
	case Released:
		d.SetAside, d.SetAsideBy, d.SetAsideAs = false, "", ""
		d.Failures = 0
		d.Fuses = nil // what the engineer accepted is where to compare from
	case FlashVerified:
		if d.Images, d.Flashed = e.Images, e.Index; !shares {
			d.Images = slices.Clone(e.Images)
		}
	case BurnIntended:
		d.Intended = add(d.Intended, e.Stage, shares)
	case BurnSettled:
		d.Settled = add(d.Settled, e.Stage, shares)
	case BootVerified:
		d.Booted = true
	case Sealed:
		d.Sealed, d.Verdict, d.Code, d.Failures = true, Pass, "", 0
		d.SealedJob, d.SealedHash = e.jobName(), e.JobHash
	case Failed:
		d.failed(e)
	}
}

// RulesFuses tells whether the fuses in the entry are those of its device, whatever
// earlier entries say of them.
func (e *Entry) RulesFuses() bool {
	return e.Fuses != nil && (e.Kind == BurnIntended || e.Kind == BurnSettled || e.Kind == Sealed)
}

// fused takes the fuses of the chip that the entry is about, if it is this device
// beyond doubt: admitted, or burned by us. Before there is a key it is whatever
// was seen.
func (d *Device) fused(e *Entry, shares bool) {
	admitted := e.Kind == Admitted && e.Decision != DecisionQuarantine
	switch {
	case e.Fuses == nil:
		return
	case e.RulesFuses():
	case d.Fuses == nil && (admitted || len(d.Keys) == 0), admitted && len(d.Keys) == 0:
	default:
		return
	}
	if d.Fuses = e.Fuses; !shares {
		d.Fuses = e.Fuses.clone()
	}
}

// makes are the kinds that change what a device is.
// A serial number alone moves none from its batch: the next one may have no place.
var makes = map[Kind]bool{NumberTaken: true, KeyAssigned: true, IdentityMade: true, FlashVerified: true,
	BurnIntended: true, BurnSettled: true, Sealed: true}

// Family is the family of the device's chip.
func (d Device) Family() (*chip.Family, error) { return chip.Recorded(d.Chip) }

// neverSeen tells that whatever had this MAC was no device beyond doubt.
func (d *Device) neverSeen() bool { return d.Runs == 0 && !d.begun() }

// begun tells whether the device was ever given anything. Until then it is only
// what was seen last.
func (d *Device) begun() bool {
	return len(d.Keys) > 0 || d.Serial != "" || len(d.Numbers) > 0 || len(d.Intended) > 0 || d.Sealed
}

// Placed tells whether the device is in a batch or job for good: by its number
// or its key. Until then its batch is only that of the last visit.
func (d *Device) Placed() bool { return len(d.Keys) > 0 || len(d.Numbers) > 0 }

func (d *Device) made(e *Entry) {
	if e.Job != "" {
		d.Job, d.Revision, d.JobHash = e.Job, e.Revision, e.JobHash
		if !d.Placed() {
			d.Batch = e.Batch
		}
	}
	if e.Batch != "" && !d.Sealed { // what is sealed stays where it was made
		d.Batch = e.Batch
	}
	if e.Serial != "" {
		d.Serial = e.Serial
	}
}

// keyed takes keys of the device, or once more those that it has: then for
// another job, for an escrow that they had not got, or in another block.
func (d *Device) keyed(e *Entry) {
	d.Keys = slices.Clone(d.Keys) // copies of a device may share the list
	for _, k := range e.Keys {
		had := d.KeyFor(k.Purpose)
		if k.EscrowTo == "" && k.Escrow != nil {
			k.EscrowTo = "unknown"
		}
		k.Escrow, k.EscrowTo = nil, cmp.Or(k.EscrowTo, had.EscrowTo)
		if k.Wrapped == nil {
			k.Wrapped = had.Wrapped
		}
		k.Wrapped, k.Blocks = slices.Clone(k.Wrapped), slices.Clone(k.Blocks)
		if i := slices.IndexFunc(d.Keys, func(h Key) bool { return h.Purpose == k.Purpose }); i >= 0 {
			d.Keys[i] = k
		} else {
			d.Keys = append(d.Keys, k)
		}
	}
}

func (d *Device) failed(e *Entry) {
	if onlyVisits[e.Code] && !(e.Code == Doubtful && d.neverSeen()) {
		return
	}
	d.Verdict, d.Code = e.Verdict, e.Code
	if e.Verdict == Retry {
		d.Failures++
	}
	if !d.SetAside && e.Code != Doubtful && (e.Verdict == Scrap || e.Verdict == Quarantine) {
		d.SetAside, d.SetAsideBy, d.SetAsideAs = true, e.Code, e.Verdict
	}
}

// The codes of visits that say nothing of the device itself: another chip with
// its MAC was there, or it was at a line of another job. What the device is
// stays, and it is not set aside.
const (
	Stranger    Code = "E-STRANGER" // the chip lacks fuses that were burned
	SameMAC     Code = "E-SAME-MAC" // the device is in another slot at this moment
	SealedOther Code = "E-SEALED-OTHER"
	Doubtful    Code = "E-VIRTUAL" // nobody can tell whether the chip is real
	OtherJob    Code = "E-OTHER-JOB"
)

var onlyVisits = map[Code]bool{Stranger: true, SameMAC: true, SealedOther: true, OtherJob: true, Doubtful: true, Conflicting: true, ElsewhereCode: true}

// Begun is the verdict of a device that has none: its visits never came to an
// end, or it was released and has not been back.
const Begun Verdict = "BEGUN"

// State is what a device is by now, and the code of what is wrong with it. What
// was set aside stays so until it is released, and a sealed device is sealed
// whatever a later visit said. Every list, report, label and account tells this.
func (d Device) State() (Verdict, Code) {
	switch {
	case d.Conflicted:
		return Quarantine, Conflicting
	case d.SetAside:
		return d.SetAsideAs, d.SetAsideBy
	case d.Sealed:
		return Pass, ""
	case d.Verdict == Retry, d.Verdict == Station, d.Code == Doubtful && d.neverSeen():
		return d.Verdict, d.Code
	}
	return Begun, "" // also what was set aside and released
}

// MadeBy names the job under which the device was worked on last.
func (d Device) MadeBy() string { return strings.TrimSpace(d.Job + " " + d.Revision) }

// InLot is the lot in which the device is counted: the one that it is made in,
// or before it has a key the one that it visited last. "" is none.
func (d Device) InLot() string {
	if len(d.Keys) == 0 {
		return d.Visited
	}
	return lot(d.Batch, d.Job, d.Simulated)
}

func add(list []string, s string, only bool) []string {
	if slices.Contains(list, s) {
		return list
	}
	if !only { // copies of a device may share the list
		list = slices.Clip(list)
	}
	return append(list, s)
}

// Elder orders what the ledgers of several benches say of one device, the one whose
// device it is first: to whom it moved last, who sealed it, who gave it a key, who saw it first. Of benches
// that only saw it, the last one counts.
func (d Device) Elder(o Device) int { return d.Claim().Elder(o.Claim()) }

// Claim is by what a ledger has a device: what Elder compares.
type Claim struct {
	moves, rank   int
	seen, updated time.Time
}

// Claim is that of the ledger that tells of the device.
func (d *Device) Claim() Claim {
	c := Claim{moves: d.Moves, seen: d.Seen, updated: d.Updated}
	switch {
	case d.Sealed:
		c.rank = 2
	case len(d.Keys) > 0:
		c.rank = 1
	}
	return c
}

// Elder orders claims as Device.Elder does devices.
func (c Claim) Elder(o Claim) int {
	switch {
	case c.moves != o.moves:
		return o.moves - c.moves
	case c.rank != o.rank:
		return o.rank - c.rank
	case c.rank == 0:
		return o.updated.Compare(c.updated)
	}
	return c.seen.Compare(o.seen)
}
