// Package record is the vocabulary of the ledger: the entries that the flow
// writes, the ledger keeps and QA reads. It never holds key material.
package record

import (
	"time"

	"station/internal/esp32"
)

// Version is the format of entries written now.
const Version = 1

// Kind says what an entry records.
type Kind string

// The kinds of entries, in the order in which a device collects them.
const (
	LedgerCreated Kind = "ledger.created" // first entry of every ledger
	PlanApproved  Kind = "plan.approved"  // a person approved a burn plan's digest at this station
	DeviceSeen    Kind = "device.seen"    // identity and fuses as found
	Admitted      Kind = "device.admitted"
	KeyAssigned   Kind = "key.assigned" // key ID bound to the MAC, once and for ever
	FlashVerified Kind = "flash.verified"
	BurnIntended  Kind = "burn.intended" // on disk before a fuse changes
	BurnSettled   Kind = "burn.settled"  // fuses as read back
	BootVerified  Kind = "boot.verified"
	Sealed        Kind = "device.sealed"
	Failed        Kind = "device.failed" // a run that ended in RETRY, SCRAP, QUARANTINE or STATION
	KeyImported   Kind = "key.imported"  // a key was made or imported in the token
)

// Verdict is how a run of one device ended.
type Verdict string

// The verdicts, never two alike.
const (
	Pass       Verdict = "PASS"
	Retry      Verdict = "RETRY"      // nothing is lost: put the device back
	Scrap      Verdict = "SCRAP"      // a fuse holds what it must not
	Quarantine Verdict = "QUARANTINE" // chip and ledger disagree: for an engineer
	Station    Verdict = "STATION"    // not the device's fault
)

// Entry is one line of the log. Fields that do not apply are absent.
type Entry struct {
	Version  int       `json:"v"`
	Index    uint64    `json:"index"` // set by the ledger; the entry's leaf in the Merkle tree
	Time     time.Time `json:"time"`
	Kind     Kind      `json:"kind"`
	Station  string    `json:"station,omitempty"`
	Operator string    `json:"operator,omitempty"`
	Software string    `json:"software,omitempty"`
	// Simulated marks what was made on virtual devices or with a throw-away token.
	Simulated bool `json:"simulated,omitempty"`

	Job      string    `json:"job,omitempty"`       // name of the product
	Revision string    `json:"revision,omitempty"`  // of the job
	JobHash  string    `json:"jobDigest,omitempty"` // sha256:… of the job file and every image
	Batch    string    `json:"batch,omitempty"`
	Slot     string    `json:"slot,omitempty"`
	Run      string    `json:"run,omitempty"` // joins the entries of one device's visit
	MAC      esp32.MAC `json:"mac,omitzero"`
	Serial   string    `json:"serial,omitempty"`

	Step     string          `json:"step,omitempty"`
	Decision string          `json:"decision,omitempty"` // of Admitted: fresh, resume, sealed, quarantine
	Identity *esp32.Identity `json:"identity,omitempty"`
	KeyID    string          `json:"keyId,omitempty"`
	Policy   string          `json:"policy,omitempty"`
	Wrapped  []byte          `json:"wrapped,omitempty"` // random policy: the key under the token's KEK
	Escrow   []byte          `json:"escrow,omitempty"`  // the key under an offline public key
	Plan     string          `json:"planDigest,omitempty"`
	Stage    string          `json:"stage,omitempty"` // stage of a burn
	Burns    []FuseChange    `json:"burns,omitempty"`
	Fuses    *Fuses          `json:"fuses,omitempty"`
	Images   []Image         `json:"images,omitempty"`
	Boot     *Boot           `json:"boot,omitempty"`
	Verdict  Verdict         `json:"verdict,omitempty"`
	Code     string          `json:"code,omitempty"` // E-…
	Message  string          `json:"message,omitempty"`
	Seconds  float64         `json:"seconds,omitempty"` // of the step or run, by the station's monotonic clock
}

// FuseChange is one field that a burn is to change.
type FuseChange struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"` // never a key: "device key <check value>" stands for one
}

// Fuses is a snapshot of the 31 words without key material: BLOCK1 is told
// only as a state, BLOCK2 as a digest, because both may hold keys.
type Fuses struct {
	Block0 []string `json:"block0"` // 7 words, eight hex digits each
	Block1 string   `json:"block1"` // "empty", "written", "hidden" (read-protected)
	Block2 string   `json:"block2"` // "empty", "hidden" or sha256:…
	Block3 []string `json:"block3"` // 8 words
}

// Image is one region of flash as verified on the chip.
type Image struct {
	Name      string `json:"name"`
	Address   uint32 `json:"address"`
	Size      int    `json:"size"`
	Encrypted bool   `json:"encrypted"`
	Plain     string `json:"plain"`   // sha256:… of the bytes before encryption
	Flash     string `json:"flash"`   // sha256:… of the bytes in flash
	MD5       string `json:"md5"`     // of the bytes in flash, as the ROM computes it
	Version   string `json:"version"` // from the app descriptor, if any
}

// Boot is what the console told.
type Boot struct {
	Digest  string  `json:"digest"`  // sha256:… of the captured console
	Marker  string  `json:"marker"`  // the line that proved the boot
	Seconds float64 `json:"seconds"` // reset to marker
}

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
	Simulated  bool      `json:"simulated"`
	KeyID      string    `json:"keyId"`
	Policy     string    `json:"policy"`
	Wrapped    []byte    `json:"wrapped,omitempty"`
	Images     []Image   `json:"images,omitempty"`   // as verified last
	Fuses      *Fuses    `json:"fuses,omitempty"`    // as read back last
	Intended   []string  `json:"intended,omitempty"` // burn stages begun
	Settled    []string  `json:"settled,omitempty"`  // burn stages read back as wanted
	Runs       int       `json:"runs"`
	Booted     bool      `json:"booted"`
	Sealed     bool      `json:"sealed"`
	Verdict    Verdict   `json:"verdict"` // of the last run that ended
	Code       string    `json:"code"`
	SetAside   bool      `json:"setAside"` // SCRAP or QUARANTINE, until an engineer releases it
	SetAsideBy string    `json:"setAsideBy,omitempty"`
}

// Apply folds one entry into the device. It is the only way a Device changes,
// so that the projection can always be rebuilt from the log.
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
	if e.Fuses != nil {
		d.Fuses = e.Fuses
	}
	switch e.Kind {
	case DeviceSeen:
		d.Runs++
	case KeyAssigned:
		d.KeyID, d.Policy, d.Wrapped = e.KeyID, e.Policy, e.Wrapped
	case FlashVerified:
		d.Images = e.Images
	case BurnIntended:
		d.Intended = add(d.Intended, e.Stage)
	case BurnSettled:
		d.Settled = add(d.Settled, e.Stage)
	case BootVerified:
		d.Booted = true
	case Sealed:
		d.Sealed, d.Verdict, d.Code = true, Pass, ""
	case Failed:
		d.Verdict, d.Code = e.Verdict, e.Code
		if e.Verdict == Scrap || e.Verdict == Quarantine {
			d.SetAside, d.SetAsideBy = true, e.Code
		}
	}
}

func add(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
