package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"time"

	"station/internal/record"
)

// A line holds its ledger open for a whole shift. Beside it people print
// labels, open batches and release devices. Their commands are guests of the
// process that holds the ledger, the host: it appends for them what they ask
// for at its door, a Unix socket beside the file. One JSON object a line, one
// request a visit:
//
//	host   {"door":1,"v":1,"origin":"…","file":"…"}
//	guest  {"append":[…]}, {"public":"…"} or {"public":"…","checkpoint":"…"}
//	host   {"entries":[…]} or {"error":"…","is":["…"]}
//
// The host answers when everything is on disk. What a guest may write is in
// guestKinds; everything else belongs to the process that has the devices.
const (
	doorVersion   = 1
	maxRequest    = 64 << 10  // bytes
	maxReply      = 512 << 10 // bytes
	maxGuestBatch = 64        // entries of one request

	guestTime = 2 * time.Second  // within which a guest must have said what it wants, or it is closed
	hostTime  = 30 * time.Second // within which a host must have answered
)

// greeting is what the host says first, so that nobody writes into a ledger
// that he did not open.
type greeting struct {
	Door    int    `json:"door"`
	Version int    `json:"v"` // of entries
	Origin  string `json:"origin"`
	File    string `json:"file"` // a copy of a ledger has the same origin
	Error   string `json:"error,omitempty"`
}

// request is what a guest wants: exactly one of entries to append, a key that
// is going to sign checkpoints, and a checkpoint that such a key has signed.
type request struct {
	Append     []record.Entry `json:"append,omitempty"`
	Public     []byte         `json:"public,omitempty"`
	Checkpoint []byte         `json:"checkpoint,omitempty"`
}

type reply struct {
	Entries []record.Entry `json:"entries,omitempty"`
	Error   string         `json:"error,omitempty"`
	Is      []string       `json:"is,omitempty"` // names of doorErrors
}

// doorErrors are the errors that keep their identity on their way to a guest.
var doorErrors = []struct {
	name string
	err  error
}{
	{"keyTaken", record.ErrKeyTaken},
	{"keyBound", record.ErrKeyBound},
	{"serialTaken", record.ErrSerialTaken},
	{"identity", record.ErrIdentity},
	{"mixed", record.ErrMixed},
	{"quota", record.ErrQuota},
	{"numbers", record.ErrNumbers},
	{"batch", record.ErrBatch},
	{"signature", ErrSignature},
	{"newer", ErrNewer},
	{"corrupt", ErrCorrupt},
	{"disk", ErrDisk},
	{"moved", ErrMoved},
	{"readOnly", ErrReadOnly},
	{"closed", ErrClosed},
	{"busy", ErrBusy},
}

// hostError is an error of the host as its guest has it.
type hostError struct {
	text string
	is   []error
}

func (e *hostError) Error() string { return e.text }

func (e *hostError) Unwrap() []error { return e.is }

func refuse(err error) reply {
	r := reply{Error: err.Error()}
	for _, known := range doorErrors {
		if errors.Is(err, known.err) {
			r.Is = append(r.Is, known.name)
		}
	}
	return r
}

func (r reply) err() error {
	if r.Error == "" {
		return nil
	}
	e := &hostError{text: r.Error}
	for _, known := range doorErrors {
		if slices.Contains(r.Is, known.name) {
			e.is = append(e.is, known.err)
		}
	}
	return e
}

// guestKinds are the entries that guests may append, true for those about a
// batch: remarks and administration, which need no device at hand.
var guestKinds = map[record.Kind]bool{
	record.LabelPrinted:    false,
	record.KeyRecovered:    false,
	record.KeyImported:     false,
	record.KeyRemoved:      false,
	record.Released:        false,
	record.IdentityRevoked: false,
	record.BatchOpened:     true,
	record.BatchAmended:    true,
	record.BatchClosed:     true,
	record.NumbersReturned: true,

	record.ReleaseMade:      false,
	record.ReleaseWithdrawn: false,
	record.RolloutChanged:   false,
	record.UpdateOffered:    false,
	record.UpdateResult:     false,
	record.UpdateRefused:    false,
}

// guestEntry is what of an entry a guest may say. What else is in it would
// change what the ledger knows of a device, and is refused.
func guestEntry(e record.Entry) (record.Entry, error) {
	batch, may := guestKinds[e.Kind]
	if !may {
		return e, fmt.Errorf("%q: only the process that has the devices may write that", e.Kind)
	}
	// A guest is a person's command.
	if err := errors.Join(record.CheckOperator(e), record.CheckPerson(e)); err != nil {
		return e, err
	}
	// Those are the ledger's, whatever a guest says.
	e.Version, e.Index, e.Time, e.Prev, e.ClockBack = 0, 0, time.Time{}, 0, 0
	said := record.Entry{Kind: e.Kind, Station: e.Station, Operator: e.Operator, Software: e.Software, Simulated: e.Simulated, Message: e.Message}
	if batch {
		said.Batch, said.Quota, said.Job, said.Revision, said.JobHash = e.Batch, e.Quota, e.Job, e.Revision, e.JobHash
		if e.Kind == record.NumbersReturned {
			said.About = e.About
		}
	} else {
		said.MAC, said.Decision, said.Token, said.About = e.MAC, e.Decision, e.Token, e.About
		for _, k := range e.Keys { // their names, and nothing to open them with
			said.Keys = append(said.Keys, record.Key{Purpose: k.Purpose, ID: k.ID, Policy: k.Policy})
		}
	}
	if !reflect.DeepEqual(said, e) {
		return e, fmt.Errorf("%s: holds what only the process that has the devices may write", e.Kind)
	}
	return e, nil
}

// parseRequest reads what a guest said. Nothing in it is believed.
func parseRequest(line []byte) (request, error) {
	var q request
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.DisallowUnknownFields()
	err := dec.Decode(&q)
	if err == nil && dec.More() {
		err = errors.New("more than one request")
	}
	switch {
	case err != nil:
	case len(q.Append) > maxGuestBatch:
		err = fmt.Errorf("%d entries at once; %d are allowed", len(q.Append), maxGuestBatch)
	case (len(q.Append) > 0) == (len(q.Public) > 0), len(q.Checkpoint) > 0 && len(q.Public) == 0:
		err = errors.New("want entries, or a key and what it signed")
	}
	for i := 0; err == nil && i < len(q.Append); i++ {
		q.Append[i], err = guestEntry(q.Append[i])
	}
	if err == nil && len(q.Public) > 0 {
		q.Public, err = onlyForm(q.Public)
	}
	if err != nil {
		return request{}, fmt.Errorf("request: %w", err)
	}
	return q, nil
}

// onlyForm is the form of a public key that the ledger knows.
func onlyForm(public []byte) ([]byte, error) {
	key, err := ParsePublicKey(public)
	if err != nil {
		return nil, err
	}
	return marshalKey(key)
}

// readLine reads one frame of at most so many bytes.
func readLine(r io.Reader, most int64) ([]byte, error) {
	line, err := bufio.NewReader(io.LimitReader(r, most)).ReadBytes('\n')
	if errors.Is(err, io.EOF) && int64(len(line)) == most {
		err = fmt.Errorf("longer than %d bytes", most)
	}
	return line, err
}

func (l *Ledger) greeting() greeting {
	return greeting{Door: doorVersion, Version: record.Version, Origin: l.Origin(), File: fileID(l.w.file)}
}

// serve is one visit of a guest. Whoever let it in has set how long it may take.
func (l *Ledger) serve(c net.Conn) {
	if json.NewEncoder(c).Encode(l.greeting()) != nil {
		return
	}
	var answer reply
	line, err := readLine(c, maxRequest)
	if err != nil {
		answer = refuse(fmt.Errorf("request: it did not come whole: %w", err))
	} else {
		answer = l.answer(line)
	}
	_ = c.SetWriteDeadline(time.Now().Add(guestTime))
	_ = json.NewEncoder(c).Encode(answer)
}

func (l *Ledger) answer(line []byte) reply {
	q, err := parseRequest(line)
	var stored []record.Entry
	switch {
	case err != nil:
	case q.Checkpoint != nil:
		err = l.adopt(q.Public, q.Checkpoint)
	case q.Public != nil:
		err = l.introduce(q.Public)
	default:
		// Who wrote an entry is the guest's to say: the host's own station and
		// software are not filled in.
		stored, err = l.appendAs(Options{Now: l.opt.Now}, q.Append)
	}
	if err != nil {
		return refuse(err)
	}
	return reply{Entries: stored}
}
