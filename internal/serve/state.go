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

// state is what the server knows of a device: the exported fields are a record of the
// store, to which load adds what the ledger has. It is written when something changes,
// not at every poll.
type state struct {
	Release       int64             `json:"release,omitempty"` // that it runs, as it reported
	Version       string            `json:"version,omitempty"`
	SecureVersion uint32            `json:"secureVersion,omitempty"`
	App           string            `json:"app,omitempty"`
	Offered       int64             `json:"offered,omitempty"`   // release that it is offered and has not reported a result of; 0: none
	Told          []int64           `json:"told,omitempty"`      // releases that it was offered, as the ledger has it: the last maxRemembered
	Tried         []int64           `json:"tried,omitempty"`     // releases that failed on it: the maxRemembered with the highest numbers
	Cancelled     []int64           `json:"cancelled,omitempty"` // releases that it cancelled, as the ledger has it
	Refused       string            `json:"refused,omitempty"`   // why it was turned away, as the ledger has it; "" if it is not
	Attributes    map[string]string `json:"attributes,omitzero"`

	counted  []int64        // releases whose offer to it the store knew: the rollouts in the store have counted these
	ever     []record.Field // all first offers to it that are in the ledger
	took     []int64        // releases that it installed, as the ledger has it
	revision uint64         // of the record in the store; 0: it has none
}

// maxRemembered is how many releases the state of a device has in each of its lists.
const maxRemembered = 32

// key is the store's key for the state of a device.
func key(mac chip.MAC) string { return "device/" + strings.ReplaceAll(mac.String(), ":", "") }

// load reads the state of a device from the store and merges what the ledger has: the
// store may be new, or restored from an older backup.
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
	told, err := stateFrom(entries)
	if err == nil {
		st.counted = append(slices.Clone(st.Told), st.Offered)
		st.merge(told)
	}
	return err
}

// change changes the state of a device by f and writes it. Where another request was
// faster, f is applied again to what that one wrote.
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

// applyTo adds what happened in the field to a device as it left the factory.
func (st *state) applyTo(d *release.Device) {
	if st.Release != 0 {
		d.Took(st.Release, st.Version, st.App, st.SecureVersion)
	}
	if d.Tried = st.Tried; len(d.Tried) >= maxRemembered { // releases with lower numbers are no longer remembered
		d.TriedTo = slices.Min(d.Tried)
	}
}

// addFailed remembers a release whose update failed. Of too many the highest numbers are
// kept.
func (st *state) addFailed(id int64) {
	list := append(slices.Clone(st.Tried), id)
	slices.Sort(list)
	list = slices.Compact(list)
	st.Tried = list[max(0, len(list)-maxRemembered):]
}

// remember is list with id at its end, if it was not in it. Of too many the last ones
// are kept.
func remember(list []int64, id int64) []int64 {
	if slices.Contains(list, id) {
		return list
	}
	list = append(slices.Clone(list), id)
	return list[max(0, len(list)-maxRemembered):]
}

// entry is an entry of the ledger with a record.Field in it.
func entry(kind record.Kind, mac chip.MAC, f record.Field, message string) record.Entry {
	about, err := json.Marshal(f)
	if err != nil { // cannot happen: a Field holds only strings and numbers
		panic(err)
	}
	return record.Entry{Kind: kind, MAC: mac, Message: message, About: about}
}

// append writes an entry into the ledger in the server's name.
func (s *Server) append(e record.Entry) error {
	e.Operator = s.Operator
	if e.Operator == "" {
		e.Operator = "station serve"
	}
	return s.Ledger.Append(e)
}
