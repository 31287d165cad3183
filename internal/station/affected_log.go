package station

import (
	"cmp"
	"slices"

	"station/internal/chip"
	"station/internal/record"
)

// place is where an entry is.
type place struct {
	bench string
	index uint64
}

// past is what the logs say of one device, of its key and of the field.
type past struct {
	runs    record.Field
	results map[int64]word // successes, by release
	offers  map[int64]word
	keyed   place // the last entry that names the key asked for
}

// word is what an entry says of a release for a device.
type word struct {
	place
	app string // digest of its app; "" where nothing tells it
}

// said is what the logs say of devices, and of which digests stand for one app.
type said struct {
	pasts map[chip.MAC]*past
	// alike are the other digests of what has one: of a file, those of what the line made of it. What an
	// old entry names is the app filled up for the cipher, and no more.
	alike  map[string][]string
	inputs map[int64][]string // by release, digests of its app as it was given, before it was signed
	apps   map[int64]string   // of every release that is known, the digest of its app, if that is
	keys   map[string]bool    // labels of all keys
	keyed  bool               // the key asked for is among them
}

// read reads each log once.
func (w Wanted) read(books []Book) (*said, error) {
	s := &said{pasts: map[chip.MAC]*past{}, alike: map[string][]string{}, inputs: map[int64][]string{}, apps: map[int64]string{}, keys: map[string]bool{}}
	for _, r := range w.Known {
		s.apps[r.ID] = r.App
		s.one(r.App, r.AppFilled)
	}
	for _, b := range books {
		for e, err := range b.Ledger.Entries(0) {
			if err == nil {
				err = s.add(b.Bench, &e, w)
			}
			if err != nil {
				return nil, LedgerFailure(err)
			}
		}
	}
	s.complete()
	return s, nil
}

// complete gives each word the digest of its release's app: a ledger that was read later may
// have told it.
func (s *said) complete() {
	for _, p := range s.pasts {
		for _, words := range []map[int64]word{p.results, p.offers} {
			for id, t := range words {
				t.app = s.apps[id]
				words[id] = t
			}
		}
	}
}

func (s *said) add(bench string, e *record.Entry, w Wanted) error {
	for _, i := range e.Images {
		s.has(i.File, i.Plain)
	}
	if w.Key != "" {
		s.key(bench, e, w)
	}
	switch e.Kind {
	case record.UpdateOffered, record.UpdateResult, record.ReleaseMade, record.ReleaseWithdrawn, record.RolloutChanged:
	default:
		return nil
	}
	f, err := e.Field()
	if err != nil {
		return err
	}
	s.apps[f.Release] = cmp.Or(f.App, s.apps[f.Release])
	switch {
	case e.Kind == record.ReleaseMade:
		s.one(f.App, f.AppFilled)
		s.one(f.Input, f.InputFilled)
		s.inputs[f.Release] = []string{f.Input, f.InputFilled}
	case e.Kind == record.UpdateOffered:
		s.of(e.MAC).offers[f.Release] = word{place: place{bench, e.Index}}
	case e.Kind == record.UpdateResult && f.State == "success":
		p := s.of(e.MAC)
		p.results[f.Release] = word{place: place{bench, e.Index}}
		if f.Release >= p.runs.Release { // a lower one was told late
			p.runs = f
		}
	}
	return nil
}

func (s *said) of(mac chip.MAC) *past {
	p := s.pasts[mac]
	if p == nil {
		p = &past{results: map[int64]word{}, offers: map[int64]word{}}
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
