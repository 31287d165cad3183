package record

import (
	"slices"
	"time"

	"station/internal/esp32"
)

// Device is what the ledger knows of one MAC: the projection of its entries.
type Device struct {
	MAC        esp32.MAC `json:"mac"`
	First      uint64    `json:"first"` // index of the first and the last entry
	Last       uint64    `json:"last"`
	Seen       time.Time `json:"seen"`
	Updated    time.Time `json:"updated"`
	Job        string    `json:"job"`
	JobHash    string    `json:"jobDigest"`
	Batch      string    `json:"batch"`
	Serial     string    `json:"serial"`
	Lot        string    `json:"lot,omitempty"`    // where Number counts
	Number     int       `json:"number,omitempty"` // reserved from the lot's quota; 0 none
	Simulated  bool      `json:"simulated"`
	KeyID      string    `json:"keyId"`
	Policy     string    `json:"policy"`
	Wrapped    []byte    `json:"wrapped,omitempty"`
	Images     []Image   `json:"images,omitempty"`   // as verified last,
	Flashed    uint64    `json:"flashed,omitempty"`  // by the entry of this index
	Fuses      *Fuses    `json:"fuses,omitempty"`    // as first seen, or as our last burn left them
	Intended   []string  `json:"intended,omitempty"` // burn stages begun
	Settled    []string  `json:"settled,omitempty"`  // burn stages read back as wanted
	Runs       int       `json:"runs"`
	Failures   int       `json:"failures,omitempty"` // visits that ended in RETRY since it was sealed or released
	Booted     bool      `json:"booted"`
	Sealed     bool      `json:"sealed"`
	Verdict    Verdict   `json:"verdict"` // of the last run that ended
	Code       string    `json:"code"`
	SetAside   bool      `json:"setAside"`             // SCRAP or QUARANTINE, until an engineer releases it
	SetAsideBy string    `json:"setAsideBy,omitempty"` // the code
	SetAsideAs Verdict   `json:"setAsideAs,omitempty"` // SCRAP or QUARANTINE
}

// Apply folds one entry into the device. It is the only way a Device changes,
// so that the projection can always be rebuilt from the log. The device keeps
// no memory of the entry's. Whoever changes what it does raises the ledger's
// projection version, so that ledgers in use are projected anew.
func (d *Device) Apply(e Entry) {
	if d.MAC.IsZero() {
		d.MAC, d.First, d.Seen = e.MAC, e.Index, e.Time
	}
	d.Last, d.Updated = e.Index, e.Time
	d.Simulated = d.Simulated || e.Simulated
	if e.Job != "" {
		d.Job, d.JobHash = e.Job, e.JobHash
	}
	if e.Batch != "" {
		d.Batch = e.Batch
	}
	if e.Serial != "" {
		d.Serial = e.Serial
	}
	if e.Fuses != nil && (d.Fuses == nil || e.Kind == BurnIntended || e.Kind == BurnSettled || e.Kind == Sealed) {
		d.Fuses = e.Fuses.clone()
	}
	switch e.Kind {
	case DeviceSeen:
		d.Runs++
	case Admitted:
		if e.Decision != DecisionQuarantine { // the device itself has shown that nothing is wrong
			d.SetAside, d.SetAsideBy, d.SetAsideAs = false, "", ""
		}
	case KeyAssigned:
		d.KeyID, d.Policy, d.Wrapped = e.KeyID, e.Policy, slices.Clone(e.Wrapped)
	case NumberTaken:
		d.Lot, d.Number = e.Lot(), e.Number
	case Released:
		d.SetAside, d.SetAsideBy, d.SetAsideAs = false, "", ""
		d.Failures = 0
		d.Fuses = nil // what the engineer accepted is where to compare from
	case FlashVerified:
		d.Images, d.Flashed = slices.Clone(e.Images), e.Index
	case BurnIntended:
		d.Intended = add(d.Intended, e.Stage)
	case BurnSettled:
		d.Settled = add(d.Settled, e.Stage)
	case BootVerified:
		d.Booted = true
	case Sealed:
		d.Sealed, d.Verdict, d.Code, d.Failures = true, Pass, "", 0
	case Failed:
		d.Verdict, d.Code = e.Verdict, e.Code
		if e.Verdict == Retry {
			d.Failures++
		}
		if !d.SetAside && (e.Verdict == Scrap || e.Verdict == Quarantine) {
			d.SetAside, d.SetAsideBy, d.SetAsideAs = true, e.Code, e.Verdict
		}
	}
}

// InLot is the lot in which the device is counted; "" before it is in any.
func (d Device) InLot() string { return lot(d.Batch, d.Job) }

func add(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(slices.Clip(list), s) // copies of a device may share the list
}

func (f Fuses) clone() *Fuses {
	f.Block0, f.Block3 = slices.Clone(f.Block0), slices.Clone(f.Block3)
	return &f
}
