package station

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"station/internal/record"
)

// UnknownError is a release or a key that is asked for and that neither the ledger nor the
// store has.
type UnknownError struct {
	What  string   // that is asked for: "release 99"
	Known []string // that there is of it
}

func (e *UnknownError) Error() string {
	if len(e.Known) == 0 {
		return fmt.Sprintf("there is no %s, nor any other; is it this ledger, and this store?", e.What)
	}
	list, more := e.Known[:min(len(e.Known), mostKnown)], ""
	if n := len(e.Known) - len(list); n > 0 {
		more = fmt.Sprintf(", and %d more", n)
	}
	return fmt.Sprintf("there is no %s; there is %s%s", e.What, strings.Join(list, ", "), more)
}

// mostKnown is how many names are told of what there is.
const mostKnown = 20

// knows tells what is asked for that there is none of.
func (s *said) knows(w Wanted) error {
	if _, known := s.apps[w.Release]; w.Release != 0 && !known {
		e := &UnknownError{What: fmt.Sprintf("release %d", w.Release)}
		for _, id := range newest(s.apps) {
			e.Known = append(e.Known, fmt.Sprint(id))
		}
		return e
	}
	if w.Key != "" && !s.keyed {
		return &UnknownError{What: fmt.Sprintf("key %q", w.Key), Known: slices.Sorted(maps.Keys(s.keys))}
	}
	return nil
}

// key notes the keys of an entry of a bench.
func (s *said) key(bench string, e *record.Entry, w Wanted) {
	for _, k := range e.Keys {
		label := k.ID
		if parts := strings.Split(k.ID, ":"); len(parts) == 3 { // policy, label, check value
			label = parts[1]
		}
		s.keys[label] = true
		if w.isKey(k) {
			s.keyed, s.of(e.MAC).keyed = true, place{bench, e.Index}
		}
	}
}
