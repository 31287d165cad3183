package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
	"unsafe"

	jsonv2 "github.com/go-json-experiment/json"

	"station/internal/chip"
)

// header is what every version has, also one that is newer than this program.
type header struct {
	Version int       `json:"v"`
	Index   uint64    `json:"index"`
	Time    time.Time `json:"time"`
	Kind    Kind      `json:"kind"`
	MAC     chip.MAC  `json:"mac"`
	Prev    uint64    `json:"prev"`
}

// Decode reads an entry of any version, of a newer one only what all versions
// have. It overlooks fields that the version does not have: what may be read is
// up to Canonical.
func Decode(raw []byte) (Entry, error) {
	if e, ok := scan(raw); ok {
		return e, nil
	}
	return decode(raw)
}

// Reader decodes entries one after the other, for whoever reads very many: their
// texts are parts of a few large pieces of memory, which live as long as one of them
// is held. The zero value is ready.
type Reader struct {
	text  []byte
	lists lists
	said  said
}

// What a Reader asks memory for at once: bytes of text, and lists.
const (
	textPiece  = 32 << 10
	listsAhead = 8
)

// Without says which fields nobody will ask for. They may be there all the same.
type Without struct {
	Remarks bool // Burns, Boot and Message
	Fuses   bool
	Images  bool
}

// Decode does what the function Decode does, into e.
func (r *Reader) Decode(raw []byte, e *Entry, skip Without) (err error) {
	r.lists.ahead = listsAhead
	*e = Entry{}
	l := line{text: r.keep(raw), skip: skip, said: &r.said, lists: &r.lists}
	if !l.scan(e) {
		*e, err = decode(raw)
	}
	return err
}

// keep returns a copy of raw in the memory of the reader: never written to again unless
// its user says so with Again.
func (r *Reader) keep(raw []byte) string {
	from := len(r.text)
	if r.Full(raw) { // those who hold the old piece keep it
		from, r.text = 0, make([]byte, 0, max(textPiece, len(raw)))
	}
	r.text = append(r.text, raw...)
	return unsafe.String(unsafe.SliceData(r.text[from:]), len(raw))
}

// Full tells whether an entry needs another piece of memory.
func (r *Reader) Full(raw []byte) bool { return len(r.text)+len(raw) > cap(r.text) }

// Again uses the memory again: of all that was decoded so far nothing may be held any more.
func (r *Reader) Again() {
	r.text, r.said.text = r.text[:0], [2]string{}
	r.lists.again()
}

// Read decodes an entry and tells whether its bytes are canonical, both in one pass:
// most of the time of a check goes by here.
func Read(raw []byte) (e Entry, canonical bool, err error) {
	if e, ok := scan(raw); ok {
		return e, CheckForm(&e) == nil, nil
	}
	return readLong(raw)
}

func readLong(raw []byte) (e Entry, canonical bool, err error) {
	e, err = decode(raw)
	return e, err == nil && Canonical(&e, raw), err
}

// decode is the long way, for entries of all versions in any form.
// encoding/json/v2 takes half of the time that v1 takes.
func decode(raw []byte) (Entry, error) {
	switch versionOf(raw) {
	case Version, 2:
		var e Entry
		err := jsonv2.Unmarshal(raw, &e)
		return e, err
	case 1:
		var old entry1
		err := jsonv2.Unmarshal(raw, &old)
		return old.entry(), err
	}
	var h header
	err := jsonv2.Unmarshal(raw, &h)
	return Entry{Version: h.Version, Index: h.Index, Time: h.Time, Kind: h.Kind, MAC: h.MAC, Prev: h.Prev}, err
}

// versionOf looks at the begin of an entry, where its version stands, and only
// where that is not so through all of it.
func versionOf(raw []byte) int {
	const front = len(`{"v":N,`)
	if len(raw) > front && bytes.HasPrefix(raw, []byte(`{"v":`)) && raw[front-1] == ',' && raw[front-2] >= '0' && raw[front-2] <= '9' {
		return int(raw[front-2] - '0')
	}
	var h struct {
		Version int `json:"v"`
	}
	if jsonv2.Unmarshal(raw, &h) != nil {
		return 0
	}
	return h.Version
}

// Canonical tells whether raw are the only bytes that the entry e, decoded from
// them, can have in its version. A field that the version does not have is
// damage, also where a later version has it. Of a version newer than this
// program only white space is known.
func Canonical(e *Entry, raw []byte) bool {
	var form any
	switch {
	case e.Version > Version:
		var b bytes.Buffer
		return json.Compact(&b, raw) == nil && bytes.Equal(b.Bytes(), raw)
	case e.Version == Version, e.Version == 2:
		if CheckForm(e) != nil || e.Version == 2 && e.hasVersion3() {
			return false
		}
		form = e
	case e.Version == 1:
		form = new(entry1)
		if json.Unmarshal(raw, form) != nil {
			return false
		}
	default:
		return false
	}
	b, err := json.Marshal(form)
	return err == nil && bytes.Equal(b, raw)
}

// CheckForm says why an entry cannot be written: what no entry may hold, whatever
// its kind.
func CheckForm(e *Entry) error {
	if err := errors.Join(e.Fuses.check(), checkKeys(e.Keys), checkAbout(e.About)); err != nil {
		return fmt.Errorf("%s: %w", e.Kind, err)
	}
	return nil
}

// checkAbout takes one JSON object in UTF-8, or nothing.
func checkAbout(about json.RawMessage) error {
	if about == nil {
		return nil
	}
	var object map[string]json.RawMessage
	if err := jsonv2.Unmarshal(about, &object); err != nil || object == nil {
		return errors.New("about: want one JSON object in UTF-8")
	}
	return nil
}
