// Package site is what a site and its benches say to each other, over NATS. A
// site is one record of many stations: package hub keeps it, package outbox
// fills it from a bench's own ledger.
//
// Each bench has one stream of the site, and its entry n is message n+1 there:
// the expected sequence of the stream alone keeps an entry from being stored
// twice, left out or put elsewhere. Messages have no IDs: the server takes another
// body under an ID that it knows for a duplicate, and says that all is well.
package site

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/record"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$`)

// CheckName refuses a name that subjects and streams cannot carry.
func CheckName(what, name string) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%s %q: want 1 to 32 letters, digits, - and _, a letter or digit first", what, name)
	}
	return nil
}

// StreamOf is the name of a bench's stream.
func StreamOf(bench string) string { return "ENTRIES-" + bench }

// EntriesOf is the subject of a bench's entries.
func EntriesOf(bench string) string { return "site.entries." + bench }

// AskOf is the subject of a question that a bench asks the site; "*" and ">" are
// all benches and all questions.
func AskOf(bench, question string) string { return "site.ask." + bench + "." + question }

// LiveOf is the subject on which a bench tells what its slots do now; "*" is all
// benches. Nobody keeps it: the last word counts, and one that is lost was not needed.
func LiveOf(bench string) string { return "site.live." + bench }

// MostLive is how many bytes a word of a bench on LiveOf may have.
const MostLive = 256 << 10

// InboxOf begins the subjects of the answers that a bench gets.
func InboxOf(bench string) string { return "_INBOX." + bench }

// Questions of a bench.
const (
	Meet    = "meet"    // Meeting: how far is my mirror?
	Go      = "go"      // Continuation: my ledger goes on where the mirror ends
	Witness = "witness" // Testimony: sign my checkpoint too
	Lease   = "lease"   // LeaseWanted: give me numbers of a lot
	Notices = "notices" // Told: what has become of devices?
	Seek    = "seek"    // Sought: does another bench know this device?
	Move    = "move"    // Moving: may this device be mine from here on?
)

// Of an atomic batch of messages (NATS, ADR-50), which is stored whole or not at all,
// and synced once.
const (
	HeaderExpected = "Nats-Expected-Last-Sequence"
	HeaderBatch    = "Nats-Batch-Id"
	HeaderPlace    = "Nats-Batch-Sequence"
	HeaderCommit   = "Nats-Batch-Commit"
)

// Meeting begins each contact: what the bench's ledger is now.
type Meeting struct {
	Origin string    `json:"origin"`
	Size   uint64    `json:"size"`
	Root   tlog.Hash `json:"root"`
	// Signed is the newest checkpoint of the ledger, if it has any.
	Signed []byte `json:"signed,omitempty"`
}

// Arrival is the Meeting of a bench that says what it knows of where the site is.
type Arrival struct {
	Meeting
	Knows
}

// Knows is what a bench knows of where the site is.
type Knows struct {
	Since time.Time `json:"since,omitzero"` // of the address in its pass
}

// Answer is the site's answer to any question; what the question does not ask for is absent.
type Answer struct {
	// Size and Root are those of the mirror.
	Size uint64    `json:"size"`
	Root tlog.Hash `json:"root"`
	// Signed is the bench's checkpoint, signed by the site too.
	Signed []byte `json:"signed,omitempty"`
	// Taken says who has what was claimed.
	Taken *Taken `json:"taken,omitempty"`
	// Lease are the numbers that the bench gets.
	Lease *record.Lease `json:"lease,omitempty"`
	// Notices are what every bench has to know of devices, as far as Place.
	Notices []Notice `json:"notices,omitempty"`
	Place   uint64   `json:"place,omitempty"`
	// Known is what another bench knows of a device.
	Known *Known `json:"known,omitempty"`
	// Full says why it gets none: the quota is used up.
	Full string `json:"full,omitempty"`
	// Address is a note of where the site is from now on, for a bench that does not know it.
	Address []byte `json:"address,omitempty"`
	// Halt says why the bench must not go on.
	Halt *Halt `json:"halt,omitempty"`
	// Error says why there is no answer.
	Error string `json:"error,omitempty"`
}

// Continuation proves that the ledger of the Meeting begins with the mirror.
type Continuation struct {
	Meeting
	Knows
	Mirrored uint64         `json:"mirrored"`
	Path     tlog.TreeProof `json:"path"`
	// Unleased says that no site has given this ledger numbers yet: what of it is unread has
	// none that others could get. An older bench does not say so.
	Unleased bool `json:"unleased,omitempty"`
}

// Testimony asks for the site's signature under a checkpoint, of which the path
// proves that the mirror begins with it.
type Testimony struct {
	Signed   []byte         `json:"signed"`
	Mirrored uint64         `json:"mirrored"`
	Path     tlog.TreeProof `json:"path"`
}

// Halt is why the site refuses a bench's ledger, with what proves it: what the site
// has of it, under the site's signature, and what the bench showed.
type Halt struct {
	Bench  string  `json:"bench"`
	Reason string  `json:"reason"`
	Time   string  `json:"time"`
	Site   []byte  `json:"site"`             // signed note: size and root of the mirror
	Before []byte  `json:"before,omitempty"` // the last checkpoint that both signed
	Shown  Meeting `json:"shown"`            // what the bench said of its ledger
}

func (h *Halt) Error() string { return fmt.Sprintf("the site refuses this ledger: %s", h.Reason) }

// Parse reads a message. It says nothing about what the message is worth.
func Parse[T any](data []byte) (v T, err error) {
	if err = json.Unmarshal(data, &v); err != nil {
		err = fmt.Errorf("message: %w", err)
	}
	return v, err
}

// ErrBehind: the mirror has moved since the question was made; ask again.
var ErrBehind = errors.New("the mirror has moved: ask again")
