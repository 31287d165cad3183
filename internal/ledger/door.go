package ledger

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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

	guestTime = 5 * time.Second  // within which a guest must have said what it wants
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

// doorErrors are those that keep their identity on their way to a guest.
var doorErrors = []struct {
	name string
	err  error
}{
	{"keyTaken", record.ErrKeyTaken},
	{"keyBound", record.ErrKeyBound},
	{"serialTaken", record.ErrSerialTaken},
	{"mixed", record.ErrMixed},
	{"quota", record.ErrQuota},
	{"batch", record.ErrBatch},
	{"signature", ErrSignature},
	{"newer", ErrNewer},
	{"corrupt", ErrCorrupt},
	{"disk", ErrDisk},
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
	record.LabelPrinted: false,
	record.KeyRecovered: false,
	record.KeyImported:  false,
	record.KeyRemoved:   false,
	record.Released:     false,
	record.BatchOpened:  true,
	record.BatchClosed:  true,
}

// guestEntry is what of an entry a guest may say. What else is in it would
// change what the ledger knows of a device, and is refused.
func guestEntry(e record.Entry) (record.Entry, error) {
	batch, may := guestKinds[e.Kind]
	if !may {
		return e, fmt.Errorf("%q: only the process that has the devices may write that", e.Kind)
	}
	// Those are the ledger's, whatever a guest says.
	e.Version, e.Index, e.Time, e.Prev, e.ClockBack = 0, 0, time.Time{}, 0, 0
	said := record.Entry{Kind: e.Kind, Station: e.Station, Operator: e.Operator, Software: e.Software, Simulated: e.Simulated, Message: e.Message}
	if batch {
		said.Batch, said.Quota, said.Job, said.Revision, said.JobHash = e.Batch, e.Quota, e.Job, e.Revision, e.JobHash
	} else {
		said.MAC, said.Decision, said.KeyID, said.Policy, said.Token = e.MAC, e.Decision, e.KeyID, e.Policy, e.Token
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

// errNoDoor: nobody answers there.
var errNoDoor = errors.New("it lets nobody write beside it")

// visit opens the ledger for a guest: for writing if nobody else has it,
// otherwise at the door of the process that has. That one may be about to open
// its door, or to end, or be a short command itself: all that is a matter of
// moments.
func (l *Ledger) visit() error {
	var err error
	for range 12 { // of a tenth of a second each
		if l.w, err = openWriter(l.path, l.first.Simulated, l.read.f); !errors.Is(err, ErrLocked) {
			return err
		}
		c, noDoor := l.knock()
		if noDoor == nil {
			l.guest = true
			return c.Close()
		}
		if err = fmt.Errorf("%w, and %w", ErrLocked, noDoor); !errors.Is(noDoor, errNoDoor) {
			return err
		}
	}
	return fmt.Errorf("%w: it is an older version, or runs on another machine, or another command is at work for long; try again on the machine of the line, or stop the line for a moment", err)
}

// knock goes to the door and makes sure that it is this ledger's.
func (l *Ledger) knock() (net.Conn, error) {
	c, err := dialDoor(l.path)
	if err != nil {
		return nil, fmt.Errorf("%w (%v)", errNoDoor, err) // that there is no socket does not mean that there is no ledger
	}
	if err := l.meet(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (l *Ledger) meet(c net.Conn) error {
	_ = c.SetDeadline(time.Now().Add(hostTime))
	line, err := readLine(c, maxRequest)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("it does not answer: %w", err)
	}
	if err != nil {
		return errNoDoor // it has just ended
	}
	var g greeting
	if err := json.Unmarshal(line, &g); err != nil {
		return fmt.Errorf("its greeting: %w", err)
	}
	switch {
	case g.Error != "":
		return errors.New(g.Error)
	case g.Door != doorVersion || g.Version != record.Version:
		return errors.New("it is another version of this program: use the same")
	case g.Origin != l.Origin() || g.File != fileID(l.read.f):
		return errors.New("it has another file open, which had this name before")
	}
	return nil
}

// ask lets the host do what the guest wants.
func (l *Ledger) ask(q request) ([]record.Entry, error) {
	frame, err := json.Marshal(q)
	if err != nil {
		return nil, err
	}
	if frame = append(frame, '\n'); len(frame) > maxRequest {
		return nil, fmt.Errorf("%d bytes are too much to write beside a line", len(frame))
	}
	if err := l.read.enter(); err != nil {
		return nil, err
	}
	defer l.read.leave()
	c, err := l.knock()
	if errors.Is(err, errNoDoor) {
		return nil, fmt.Errorf("nothing was written: the station that had this ledger open has ended; try again: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("nothing was written: %w", err)
	}
	defer c.Close()
	if _, err := c.Write(frame); err != nil { // not all of it, so the host acts on none of it
		return nil, fmt.Errorf("nothing was written: %w", err)
	}
	var r reply
	line, err := readLine(c, maxReply)
	if err == nil {
		err = json.Unmarshal(line, &r)
	}
	if err != nil {
		return nil, fmt.Errorf("the station that has this ledger open did not answer (%w): it may have been written or not; look into the ledger before you try again", err)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	if len(r.Entries) != len(q.Append) {
		return nil, fmt.Errorf("the station answered with %d entries for %d", len(r.Entries), len(q.Append))
	}
	return r.Entries, nil
}

// appendAtDoor is AppendAll for a guest.
func (l *Ledger) appendAtDoor(list []record.Entry) ([]record.Entry, error) {
	if len(list) == 0 {
		return nil, nil
	}
	list = slices.Clone(list)
	for i := range list {
		e := &list[i]
		if e.Station == "" {
			e.Station = l.opt.Station
		}
		if e.Software == "" {
			e.Software = l.opt.Software
		}
		// The host would say the same.
		if _, err := guestEntry(*e); err != nil {
			return nil, fmt.Errorf("append: %w", err)
		}
	}
	return l.ask(request{Append: list})
}
