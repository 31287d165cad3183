package record

import (
	"slices"
	"strings"
	"time"
)

// Lot is what quotas, numbers and closing certificates count: a batch, or the
// devices of one job that are in no batch. It is a projection of the entries.
type Lot struct {
	Name    string    `json:"name"`  // "batch:…" or "job:…"
	First   uint64    `json:"first"` // index of the first entry that it was counted in
	Job     string    `json:"job,omitempty"`
	JobHash string    `json:"jobDigest,omitempty"`
	Quota   int       `json:"quota,omitempty"` // of BatchOpened, or as amended last
	Opened  time.Time `json:"opened,omitzero"`
	Closed  time.Time `json:"closed,omitzero"`

	Reserved    int `json:"reserved"` // numbers taken; a lost device leaves a gap, none is given twice
	Refused     int `json:"refused"`  // MACs seen and let go before they had a key
	Devices     int `json:"devices"`  // those with a key
	Passed      int `json:"passed"`   // of them sealed and not set aside since
	Scrapped    int `json:"scrapped"`
	Quarantined int `json:"quarantined"`

	// Leases is how many blocks of numbers the site has given this bench, and Free
	// what is left of them. Without leases the bench counts by itself.
	Leases int           `json:"leases,omitempty"`
	Free   [held]Numbers `json:"free,omitzero"`
}

// Ordered is for how many devices benches have a lot together. Each has so many for itself, unless
// the site gives them numbers: then all share one quota, of which the smallest that a bench knows holds.
func Ordered(parts []Lot) (n int) {
	for _, p := range parts {
		n += p.Quota
	}
	if !slices.ContainsFunc(parts, func(p Lot) bool { return p.Leases > 0 }) {
		return n
	}
	for _, p := range parts {
		if p.Quota > 0 {
			n = min(n, p.Quota)
		}
	}
	return n
}

// Lot names the lot that the entry belongs to; "" for none.
func (e Entry) Lot() string { return lot(e.Batch, e.Job, e.Simulated) }

// BatchLot names the lot of a batch: of its real devices, or of those that are
// simulated, which are counted by themselves.
func BatchLot(batch string, simulated bool) string { return lot(batch, "", simulated) }

// simulatedLot begins the names of lots of simulated devices.
const simulatedLot = "sim:"

func lot(batch, job string, simulated bool) (name string) {
	switch {
	case batch != "":
		name = "batch:" + batch
	case job != "":
		name = "job:" + job
	default:
		return ""
	}
	if simulated {
		name = simulatedLot + name
	}
	return name
}

// BatchName is the batch that the lot is; false if it is none, or not of this kind.
func (l Lot) BatchName(simulated bool) (string, bool) {
	name, virtual := strings.CutPrefix(l.Name, simulatedLot)
	name, batch := strings.CutPrefix(name, "batch:")
	return name, batch && virtual == simulated
}

// Apply folds an entry that speaks of the lot itself.
func (l *Lot) Apply(e Entry) {
	l.leased(e)
	switch e.Kind {
	case BatchOpened:
		l.Opened, l.Quota, l.Job, l.JobHash = e.Time, e.Quota, e.Job, e.JobHash
	case BatchAmended:
		l.Quota = e.Quota
	case BatchClosed:
		l.Closed = e.Time
	case NumberTaken:
		l.Reserved = e.Number
	}
}

// Count adds the device to the lot's sums, or with n = -1 takes it out again. A
// closed lot is what it was when it was closed.
func (l *Lot) Count(d Device, n int) {
	if !l.Closed.IsZero() {
		return
	}
	if len(d.Keys) == 0 {
		l.Refused += n
		return
	}
	l.Devices += n
	switch verdict, _ := d.State(); verdict {
	case Scrap:
		l.Scrapped += n
	case Quarantine:
		l.Quarantined += n
	case Pass:
		l.Passed += n
	}
}

// Limit is how many devices the lot may have for this entry: the smaller of
// the batch's quota and the entry's own. 0 is no limit.
func (l Lot) Limit(e Entry) int {
	switch {
	case l.Quota == 0:
		return e.Quota
	case e.Quota == 0:
		return l.Quota
	}
	return min(l.Quota, e.Quota)
}
