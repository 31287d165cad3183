package station

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"station/internal/hsm"
	"station/internal/ledger"
	"station/internal/record"
)

// How a key that KeyNote tells of came into its token: the entry's Decision.
const (
	KeyMade    = "made"
	KeyBrought = "imported" // out of a file
	KeyFound   = "found"    // it was there already; a person vouches for it
	keyRemoved = "removed"
)

var keyWords = map[string]string{KeyMade: "made in", KeyBrought: "imported into", KeyFound: "found in", keyRemoved: "removed from"}

// KeyNote is the entry which says that a key of ours is in a token. KeyID is its role,
// label and check value, Token the identity of the token.
func KeyNote(token hsm.Info, k hsm.Key, how string) record.Entry {
	return note(record.KeyImported, token, hsm.Noted{Role: k.Role, Label: k.Label, Check: k.Check}, how)
}

// KeyGone is the entry which says that a key that was noted is no longer in its
// token.
func KeyGone(token hsm.Info, n hsm.Noted) record.Entry {
	return note(record.KeyRemoved, token, n, keyRemoved)
}

func note(kind record.Kind, token hsm.Info, n hsm.Noted, how string) record.Entry {
	e := record.Entry{Kind: kind, Token: token.Identity(), Decision: how,
		Message: fmt.Sprintf("%s %q %s token %q", n.Role, n.Label, keyWords[how], token.Label), Simulated: token.Throwaway()}
	k := record.Key{ID: fmt.Sprintf("%s:%s:%s", n.Role, n.Label, n.Check)}
	for _, p := range []hsm.Policy{hsm.Derived, hsm.Shared, hsm.Random} {
		if p.Role() == n.Role {
			k.Policy = string(p)
		}
	}
	e.Keys = []record.Key{k}
	return e
}

// KeysNoted is the newest that the ledger says of each key in the token.
func KeysNoted(l *ledger.Ledger, token hsm.Info) ([]hsm.Noted, error) {
	list, err := l.TokenKeys(token.Identity())
	if err != nil {
		return nil, err
	}
	var noted []hsm.Noted
	for _, e := range list {
		role, rest, _ := strings.Cut(e.TokenKey().ID, ":")
		end := strings.LastIndex(rest, ":") // a label may hold colons
		if e.Kind == record.KeyImported && end >= 0 {
			noted = append(noted, hsm.Noted{Role: hsm.Role(role), Label: rest[:end], Check: rest[end+1:]})
		}
	}
	return noted, nil
}

// KeysNotedAt reads what the ledger at path says of the token's keys, also beside
// a line that writes it. Ledger and token must be of one kind.
func KeysNotedAt(path string, token hsm.Info) ([]hsm.Noted, error) {
	l, err := ledger.Open(path, ledger.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if l.Simulated() != token.Throwaway() {
		return nil, otherKind(path, token)
	}
	return KeysNoted(l, token)
}

// TakesNotes makes sure that the station's ledger takes notes of this token's
// keys, and makes it where there is none, as a run does. Where a line has it open
// beside is true, which is no error. Without a station file nothing is noted.
func (s *File) TakesNotes(token hsm.Info, software string) (beside bool, err error) {
	if s == nil {
		return false, nil
	}
	l, err := ledger.Open(s.Ledger, ledger.Options{Create: true, Station: s.ID, Software: software, Simulated: token.Throwaway()})
	switch {
	case err == nil:
		return false, l.Close()
	case errors.Is(err, ledger.ErrLocked):
		return true, nil
	case errors.Is(err, record.ErrMixed):
		return false, otherKind(s.Ledger, token)
	}
	return false, LedgerFailure(err)
}

// otherKind is the error that one of ledger and token is real, the other not.
func otherKind(path string, token hsm.Info) error {
	if token.Throwaway() {
		return fmt.Errorf("ledger %s is of real devices, and token %q is for rehearsals: name another ledger in the station file", path, token.Label)
	}
	return fmt.Errorf("ledger %s is of a simulation, and token %q is real: name another ledger in the station file", path, token.Label)
}

// MissingNote is what has to be noted so that the ledger speaks of the label as
// the token does; missing is false where it does already.
func MissingNote(token hsm.Info, keys []hsm.Key, noted []hsm.Noted, label string) (e record.Entry, missing bool, err error) {
	keys = slices.DeleteFunc(slices.Clone(keys), func(k hsm.Key) bool { return k.Label != label })
	known := slices.IndexFunc(noted, func(n hsm.Noted) bool { return n.Label == label })
	switch {
	case len(keys) > 1:
		return e, false, fmt.Errorf("%d keys in token %q have the label %q: remove those that are not to be there, with the token's own tool", len(keys), token.Label, label)
	case len(keys) == 0 && known < 0:
		return e, false, fmt.Errorf("neither token %q nor the ledger knows a key %q of ours; \"station hsm status\" lists them", token.Label, label)
	case len(keys) == 0:
		return KeyGone(token, noted[known]), true, nil
	}
	k := keys[0]
	if known >= 0 && noted[known] == (hsm.Noted{Role: k.Role, Label: k.Label, Check: k.Check}) {
		return e, false, nil
	}
	return KeyNote(token, k, KeyFound), true, nil
}
