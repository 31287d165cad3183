package station

import (
	"slices"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// past is what the log says of one device, of its key and of the field.
type past struct {
	runs    record.Field
	results map[int64]uint64 // successes, by release, and the entry
	offers  map[int64]uint64
	keyed   uint64 // the last entry that names the key asked for
}

// said is what the log says of devices, and of which digests stand for one app.
type said struct {
	pasts map[chip.MAC]*past
	// alike are the other digests of what has one: of a file, those of what the line made of it. What an
	// old entry names is the app filled up for the cipher, and no more.
	alike  map[string][]string
	inputs map[int64][]string // by release, digests of its app as it was given, before it was signed
}

// read reads the log once.
func (w Wanted) read(book *ledger.Ledger) (*said, error) {
	s := &said{pasts: map[chip.MAC]*past{}, alike: map[string][]string{}, inputs: map[int64][]string{}}
	for _, r := range w.Known {
		s.one(r.App, r.AppFilled)
	}
	for e, err := range book.Entries(0) {
		if err == nil {
			err = s.add(&e, w)
		}
		if err != nil {
			return nil, LedgerFailure(err)
		}
	}
	return s, nil
}

func (s *said) add(e *record.Entry, w Wanted) error {
	for _, i := range e.Images {
		s.has(i.File, i.Plain)
	}
	if w.Key != "" && slices.ContainsFunc(e.Keys, w.isKey) {
		s.of(e.MAC).keyed = e.Index
		return nil
	}
	switch e.Kind {
	case record.UpdateOffered, record.UpdateResult, record.ReleaseMade:
	default:
		return nil
	}
	f, err := e.Field()
	switch {
	case err != nil:
		return err
	case e.Kind == record.ReleaseMade:
		s.one(f.App, f.AppFilled)
		s.one(f.Input, f.InputFilled)
		s.inputs[f.Release] = []string{f.Input, f.InputFilled}
	case e.Kind == record.UpdateOffered:
		s.of(e.MAC).offers[f.Release] = e.Index
	case f.State == "success":
		p := s.of(e.MAC)
		p.results[f.Release] = e.Index
		if f.Release >= p.runs.Release { // a lower one was told late
			p.runs = f
		}
	}
	return nil
}

func (s *said) of(mac chip.MAC) *past {
	p := s.pasts[mac]
	if p == nil {
		p = &past{results: map[int64]uint64{}, offers: map[int64]uint64{}}
		s.pasts[mac] = p
	}
	return p
}

// one takes two digests that stand for one and the same app.
func (s *said) one(a, b string) {
	s.has(a, b)
	s.has(b, a)
}

// has takes a digest of what was made of a file.
func (s *said) has(file, made string) {
	if file != "" && made != "" && !slices.Contains(s.alike[file], made) {
		s.alike[file] = append(s.alike[file], made)
	}
}

// names are the digests and those that stand for the same.
func (s *said) names(digests ...string) (all []string) {
	for _, d := range digests {
		if d != "" {
			all = append(append(all, d), s.alike[d]...)
		}
	}
	return all
}
