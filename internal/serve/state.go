package serve

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// state is what the store keeps of a device. It is written when something
// changes, not at every poll.
type state struct {
	Release       int64             `json:"release,omitempty"` // that it runs by its own word
	Version       string            `json:"version,omitempty"`
	SecureVersion uint32            `json:"secureVersion,omitempty"`
	App           string            `json:"app,omitempty"`
	Offered       int64             `json:"offered,omitempty"`   // an offer that has no result yet
	Told          []int64           `json:"told,omitempty"`      // offers that are in the ledger, those of the last releases
	Tried         []int64           `json:"tried,omitempty"`     // updates that ended badly, the same: of too many, those of the highest numbers
	Cancelled     []int64           `json:"cancelled,omitempty"` // offers that it gave up, as the ledger was told
	Refused       string            `json:"refused,omitempty"`   // why, as the ledger was told last
	Attributes    map[string]string `json:"attributes,omitzero"`

	counted  []int64        // offers that the store knew of: those that its rollouts count
	ever     []record.Field // all offers that are in the ledger
	took     []int64        // releases that it took, as the ledger has it
	revision uint64
}

// kept is how many releases a device is remembered for.
const kept = 32

func key(mac chip.MAC) string { return "device/" + strings.ReplaceAll(mac.String(), ":", "") }

// load reads what is kept of a device. The ledger knows of it too: a store that is
// new or was brought back from a backup learns from it what it does not have.
func (s *Server) load(mac chip.MAC, st *state) error {
	*st = state{}
	data, revision, err := s.Store.Get(key(mac))
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return err
	default:
		st.revision = revision
		if err := jsonv2.Unmarshal(data, st); err != nil {
			return err
		}
	}
	entries, err := s.Ledger.Updates(mac)
	if err != nil {
		return err
	}
	told, err := toldBy(entries)
	if err == nil {
		st.counted = append(slices.Clone(st.Told), st.Offered)
		st.learn(told)
	}
	return err
}

// change changes what is kept of a device; where another request of it was
// faster, on top of that one.
func (s *Server) change(mac chip.MAC, st *state, f func(*state)) error {
	for {
		f(st)
		data, err := json.Marshal(st)
		if err != nil {
			return err
		}
		revision, err := s.Store.Set(key(mac), data, st.revision)
		if err == nil {
			st.revision = revision
			return nil
		}
		if !errors.Is(err, store.ErrConflict) {
			return err
		}
		if err := s.load(mac, st); err != nil {
			return err
		}
	}
}

// into adds what happened in the field to what the line made.
func (st *state) into(d *release.Device) {
	if st.Release != 0 {
		d.Took(st.Release, st.Version, st.App, st.SecureVersion)
	}
	if d.Tried = st.Tried; len(d.Tried) >= kept { // of lower numbers nobody knows any more
		d.TriedTo = slices.Min(d.Tried)
	}
}

// tried remembers an update that ended badly.
func (st *state) tried(id int64) {
	list := append(slices.Clone(st.Tried), id)
	slices.Sort(list)
	list = slices.Compact(list)
	st.Tried = list[max(0, len(list)-kept):]
}

// remember adds a number to those that are in the list.
func remember(list []int64, id int64) []int64 {
	if slices.Contains(list, id) {
		return list
	}
	list = append(slices.Clone(list), id)
	return list[max(0, len(list)-kept):]
}

// entry is one of the kinds that have a Field.
func entry(kind record.Kind, mac chip.MAC, f record.Field, message string) record.Entry {
	about, err := json.Marshal(f)
	if err != nil { // texts and numbers
		panic(err)
	}
	return record.Entry{Kind: kind, MAC: mac, Message: message, About: about}
}

func (s *Server) append(e record.Entry) error {
	e.Operator = s.Operator
	if e.Operator == "" {
		e.Operator = "station serve"
	}
	return s.Ledger.Append(e)
}
