// Package record is the vocabulary of the ledger: the entries that the flow
// writes, the ledger keeps and QA reads. It never holds key material.
package record

import (
	"encoding/json"
	"strings"
	"time"

	"station/internal/chip"
)

// Version is the format of entries written now. A new field of Entry is a new
// version: the ledger takes an entry of its own version with a field that it
// does not know for damaged. A new Kind is not, nor a new purpose of a key, nor
// the blocks of another chip. Whoever makes a new version keeps a copy of the
// one before, as in v1.go, or where it only has more says what that one lacks, as in
// v2.go: its entries are read for ever.
//
// A new kind that has facts of its own (a certificate, a release) puts them into
// About, as one object whose form belongs to the kind: a program that does not
// know the kind keeps and checks the entry as a remark. What the ledger must
// look into for every kind, such as keys and fuses, has fields.
//
// Every version keeps v, index, time, kind, mac and prev, so that an older
// program can still check the chain of entries that it cannot read.
const Version = 3

// Kind says what an entry records.
type Kind string

// The kinds of entries, in the order in which a device collects them.
const (
	LedgerCreated Kind = "ledger.created" // first entry of every ledger
	PlanApproved  Kind = "plan.approved"  // a person approved a burn plan's digest at this station
	DeviceSeen    Kind = "device.seen"    // identity and fuses as found
	Admitted      Kind = "device.admitted"
	SerialBound   Kind = "serial.bound" // Serial belongs to the MAC, once and for ever
	KeyAssigned   Kind = "key.assigned" // key ID bound to the MAC, once and for ever
	FlashVerified Kind = "flash.verified"
	BurnIntended  Kind = "burn.intended" // on disk before a fuse changes
	BurnSettled   Kind = "burn.settled"  // fuses as read back
	BootVerified  Kind = "boot.verified"
	Sealed        Kind = "device.sealed"
	Failed        Kind = "device.failed"   // a run that ended in RETRY, SCRAP, QUARANTINE or STATION
	Released      Kind = "device.released" // an engineer lets a device that was set aside go on
	KeyImported   Kind = "key.imported"    // a key was made or imported in the token
	BatchOpened   Kind = "batch.opened"    // Quota devices may be made in Batch
	NumberTaken   Kind = "number.taken"    // one of the lot's devices, reserved before its key is made
	BatchAmended  Kind = "batch.amended"   // Quota is another from here on; Message says why
	BatchClosed   Kind = "batch.closed"
	LedgerKey     Kind = "ledger.key" // Public signs this ledger's checkpoints from here on
	Recovered     Kind = "ledger.recovered"
	LineHalted    Kind = "line.halted"  // a fault of the station: no new device is started
	LineResumed   Kind = "line.resumed" // and it is over
)

// The decisions of Admitted that say how a device goes on without being made:
// it is kept out, or nothing is left to do.
const (
	DecisionQuarantine = "quarantine"
	DecisionSealed     = "sealed"
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

// Sign is the shape of a verdict, the same on the screen, on pages and on paper:
// colour never speaks alone. Each is a character that every console has.
func (v Verdict) Sign() string {
	return map[Verdict]string{Pass: "√", Retry: "◄", Scrap: "×", Quarantine: "▲", Station: "■", Begun: "►"}[v]
}

// Code is a stable name of one way to fail, E-… in entries, events and tables.
type Code string

// Entry is one line of the log. Fields that do not apply are absent.
//
// Each fact of its head has one owner:
//   - the ledger: v, index, time, prev, clockBack and a number that is taken;
//     what a caller says of these is overwritten.
//   - the process that opened the ledger: station and software, filled in where
//     an entry does not name them; a guest of a line says his own.
//   - whoever writes it: kind, operator and simulated, which the ledger holds
//     against its own, and what the entry is about: job, batch, slot, run, MAC,
//     step. For a visit flow's about does that, in one place. A test of the
//     house holds that nobody else names the other facts.
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
	// Origin, of LedgerCreated, is the log's own name in its checkpoints.
	Origin string `json:"origin,omitempty"`
	// Prev is the index of the entry before this one of the same MAC; the
	// ledger sets it. It is absent in a device's first entry (index 0 is always
	// LedgerCreated), so a device's entries are a chain inside the log.
	Prev uint64 `json:"prev,omitempty"`
	// ClockBack is by how many seconds Time lies before the time of the entry
	// before: the station's clock ran backwards. The ledger sets it.
	ClockBack float64 `json:"clockBack,omitempty"`

	Job      string   `json:"job,omitempty"`       // name of the product
	Revision string   `json:"revision,omitempty"`  // of the job
	JobHash  string   `json:"jobDigest,omitempty"` // sha256:… of the job file and every image
	Batch    string   `json:"batch,omitempty"`
	Quota    int      `json:"quota,omitempty"`  // how many devices the lot may have; absent is no limit
	Number   int      `json:"number,omitempty"` // of NumberTaken: from 1, set by the ledger
	Slot     string   `json:"slot,omitempty"`
	Run      string   `json:"run,omitempty"` // joins the entries of one device's visit
	MAC      chip.MAC `json:"mac,omitzero"`
	Serial   string   `json:"serial,omitempty"`

	Step     string         `json:"step,omitempty"`
	Decision string         `json:"decision,omitempty"` // of Admitted: fresh, resume, sealed, quarantine
	Identity *chip.Identity `json:"identity,omitempty"`
	Keys     []Key          `json:"keys,omitempty"`   // one for each purpose
	Token    string         `json:"token,omitempty"`  // serial number of the HSM
	Public   []byte         `json:"public,omitempty"` // of LedgerKey: SubjectPublicKeyInfo, DER
	Plan     string         `json:"planDigest,omitempty"`
	// Described, of PlanApproved, is everything that was approved, one
	// "name = value" a line; Plan is its digest. Operator is who approved it,
	// LineOperator who was going to work with it.
	Described    []string `json:"described,omitempty"`
	LineOperator string   `json:"lineOperator,omitempty"`
	// Undeclared, of NumberTaken, says that nobody opened the batch and that the
	// station allows that.
	Undeclared bool         `json:"undeclared,omitempty"`
	Stage      string       `json:"stage,omitempty"` // stage of a burn
	Burns      []FuseChange `json:"burns,omitempty"`
	Fuses      Fuses        `json:"fuses,omitempty"`
	Images     []Image      `json:"images,omitempty"`
	Boot       *Boot        `json:"boot,omitempty"`
	Verdict    Verdict      `json:"verdict,omitempty"`
	Code       Code         `json:"code,omitempty"` // E-…
	Message    string       `json:"message,omitempty"`
	Seconds    float64      `json:"seconds,omitempty"` // of the step or run, by the station's monotonic clock
	// About is what a kind has to tell that has no field here, one JSON object.
	About json.RawMessage `json:"about,omitempty"`
}

func (e Entry) jobName() string { return strings.TrimSpace(e.Job + " " + e.Revision) }

// FuseChange is one field that a burn is to change.
type FuseChange struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"` // never a key: "device key <check value>" stands for one
}

// Image is one region of flash as verified on the chip.
type Image struct {
	Name      string `json:"name"`
	Address   uint32 `json:"address"`
	Size      int    `json:"size"`
	Encrypted bool   `json:"encrypted"`
	Partition string `json:"partition,omitempty"` // label of the partition that it is in
	Slot      string `json:"slot,omitempty"`      // of an app: factory, ota_0, …
	// File is sha256:… of the file as its author has it, where that is not Plain: it was
	// filled up for the cipher, or its header set to the job's flash. Versions 1 and 2 do not tell it.
	File    string `json:"file,omitempty"`
	Plain   string `json:"plain"`   // sha256:… of the bytes before encryption
	Flash   string `json:"flash"`   // sha256:… of the bytes in flash
	MD5     string `json:"md5"`     // of the bytes in flash, as the ROM computes it
	Version string `json:"version"` // from the app descriptor, if any
	// SecureVersion is the app descriptor's; nil of what is no app, and in entries of
	// versions 1 and 2, which do not tell it.
	SecureVersion *uint32 `json:"secureVersion,omitempty"`
}

// Is tells whether a digest is that of the image: of its file, or of what was made of it.
func (i Image) Is(digest string) bool {
	return digest != "" && (digest == i.File || digest == i.Plain || digest == i.Flash)
}

// Boot is what the console told.
type Boot struct {
	Digest  string  `json:"digest"`  // sha256:… of the captured console
	Marker  string  `json:"marker"`  // the line that proved the boot
	Seconds float64 `json:"seconds"` // reset to marker
}
