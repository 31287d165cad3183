package hub

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"station/internal/record"
	"station/internal/site"
)

// held is the bucket of claims, in which nothing is found before it is let go: no ledger is
// read beyond its first device.
type held struct {
	jetstream.KeyValue
	gone chan struct{}
}

func (b *held) Get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	select {
	case <-b.gone:
		return b.KeyValue.Get(ctx, key)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hold lets the site, of which no bench has come yet, read no device until it is let go.
func hold(t *testing.T, s *Server) (letGo func()) {
	b := &held{KeyValue: s.hub.claims, gone: make(chan struct{})}
	s.hub.claims = b
	letGo = sync.OnceFunc(func() { close(b.gone) })
	t.Cleanup(letGo)
	return letGo
}

// While the site reads the ledger of a bench for the first time, that bench gets numbers and
// the others do. A site that lost its copies gives out none before it has read again who has
// which.
func TestNumbersWhileALedgerIsRead(t *testing.T) {
	f, s := started(t)
	letGo := hold(t, s)
	a, b := newShop(t, f, "bench-1"), newShop(t, f, "bench-2")
	a.seal(one, "SN-1")
	a.push(s)
	b.push(s)
	had := a.takes(s)
	got := b.takes(s)
	if got.First < had.First+had.Count || had.Before != 1 {
		t.Errorf("bench-2 got %v, and bench-1 %v", got, had)
	}
	a.push(s) // it comes with numbers, which this site gave it
	b.push(s)
	if _, err := lease(t, s, "bench-2", 2, 0); err != nil { // the answer is lost
		t.Error(err)
	}
	if k := s.hub.mirrors[a.name].state(); k.Settled >= k.Met {
		t.Errorf("%d of %d entries of bench-1 were read meanwhile", k.Settled, k.Met)
	}
	letGo()
	a.settled(s)

	b.push(s)
	s.Close()
	if err := os.RemoveAll(f.path("jetstream")); err != nil {
		t.Fatal(err)
	}
	s, err := f.Start(t.Context(), func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	letGo = hold(t, s)
	a.push(s)
	b.push(s)
	b.settled(s)
	if _, err := lease(t, s, "bench-2", b.lot().Leases+1, 0); !errors.Is(err, site.ErrBehind) {
		t.Errorf("numbers before the site has read again which bench-1 has: %v", err)
	}
	letGo()
	a.settled(s)
	if newest := b.takes(s); newest.First < had.First+had.Count || newest.First < got.First+got.Count {
		t.Errorf("bench-2 got %v; before the loss it got %v, and bench-1 %v", newest, got, had)
	}
}

// An older bench does not say whether its ledger has numbers: the others wait until it is read,
// or until a newer program says that there were none.
func TestNumbersBesideAnOlderBench(t *testing.T) {
	_, s := started(t)
	defer s.Close()
	old, err := s.hub.mirror(t.Context(), "bench-1")
	if err == nil {
		err = old.met(100_000, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lease(t, s, "bench-1", 1, 0); err != nil {
		t.Error(err)
	}
	if _, err := lease(t, s, "bench-2", 1, 0); !errors.Is(err, site.ErrBehind) {
		t.Errorf("numbers while bench-1 may have some: %v", err)
	}
	if err := old.met(100_002, true); err != nil {
		t.Fatal(err)
	}
	if _, err := lease(t, s, "bench-2", 1, 0); err != nil {
		t.Error(err)
	}
}

// shared is a site whose benches make a lot together, and in which their ledgers are read late.
type shared struct {
	*rand.Rand
	t       *testing.T
	seed    uint64
	most    int
	benches []*reader
	kept    records
	holders map[string]bool
	taken   map[int]string
	early   int // leases that were given while the bench's ledger was read
}

// records are what a site loses with its copies.
type records struct {
	Quota quota
	Known map[string]*known
}

// reader is a bench, and whether it has come since the site was started.
type reader struct {
	leaser
	here bool
}

// backup is what a site has that is started from a backup: no bench has come to it.
func (s *shared) backup() (r records) {
	s.t.Helper()
	data, err := json.Marshal(s.kept)
	if err = errors.Join(err, json.Unmarshal(data, &r)); err != nil {
		s.t.Fatal(err)
	}
	for _, k := range r.Known {
		k.Met = 0
	}
	return r
}

func (s *shared) start(with records) {
	s.kept = with
	for _, b := range s.benches {
		b.here = false
	}
}

func (s *shared) of(b *reader) *known {
	if s.kept.Known[b.name] == nil {
		s.kept.Known[b.name] = &known{}
	}
	return s.kept.Known[b.name]
}

func (s *shared) comes(b *reader) {
	s.of(b).meet(uint64(len(b.entries)), b.lot.Leases == 0)
	b.here = true
}

// reads lets the site read a few entries.
func (s *shared) reads(b *reader) {
	s.t.Helper()
	k := s.of(b)
	for range min(s.IntN(6), len(b.entries)-int(k.Settled)) {
		e := b.entries[k.Settled]
		if e.Kind == record.NumbersLeased || e.Kind == record.NumbersReturned {
			if err := s.kept.Quota.read(b.name, e); err != nil {
				s.t.Fatal(err)
			}
		}
		k.Settled++
	}
}

// lease lets a bench ask, which hears of the answer or does not.
func (s *shared) lease(b *reader, heard bool) {
	s.t.Helper()
	for _, other := range s.benches {
		if other != b && s.holders[other.name] && !s.of(other).read() {
			return
		}
	}
	s.holders[b.name] = true
	got, err := s.kept.Quota.lease(b.name, b.wants(1+s.IntN(12), s.most))
	switch {
	case errors.Is(err, site.ErrFull) || errors.Is(err, site.ErrBehind):
	case err != nil:
		s.t.Fatal(err)
	case heard:
		if k := s.of(b); k.Settled < k.Met {
			s.early++
		}
		b.append(s.t, record.Entry{Kind: record.NumbersLeased, About: record.AboutOf(got)})
	}
}

func (s *shared) takes(b *reader) {
	s.t.Helper()
	n, err := b.lot.NextNumber()
	if err != nil || n == 0 {
		return
	}
	if whose, twice := s.taken[n]; twice || len(s.taken)+3 > s.most {
		s.t.Fatalf("seed %d: %s takes number %d, which %q has, and there are %d and 2 of %d: %v", s.seed, b.name, n, whose, len(s.taken), s.most, s.kept.Quota)
	}
	s.taken[n] = b.name
	b.append(s.t, record.Entry{Kind: record.NumberTaken, Number: b.lot.Reserved + 1, About: record.AboutOf(record.Numbered{Site: n})})
}

// Wherever the site is with reading the ledgers, and though it loses its copies or begins
// anew with a backup, no number is taken twice, and never more than the quota.
func TestNoNumberTwiceWhileLedgersAreRead(t *testing.T) {
	early := 0
	for seed := range uint64(200) {
		s := &shared{Rand: rand.New(rand.NewPCG(seed, 2)), t: t, seed: seed, holders: map[string]bool{}, taken: map[int]string{}}
		s.most = 5 + s.IntN(200)
		s.start(records{quota{}, map[string]*known{}})
		for _, name := range []string{"a", "b", "c"} {
			s.benches = append(s.benches, &reader{leaser: leaser{name: name, entries: make([]record.Entry, 1+s.IntN(30))}})
		}
		last := s.backup()
		s.benches[2].lot.Reserved = 2 // made without a site before
		s.comes(s.benches[2])
		s.lease(s.benches[2], true)
		for range 800 {
			b := s.benches[s.IntN(3)]
			switch event := s.IntN(80); {
			case event == 0:
				s.start(records{quota{}, map[string]*known{}}) // its copies are lost
			case event == 1:
				s.start(last)
				last = s.backup()
				for _, b := range s.benches {
					s.holders[b.name] = true
				}
			case event < 5:
				last = s.backup()
			case event < 20:
				s.comes(b)
			case event < 35 && b.here:
				s.reads(b)
			case event < 50 && b.here && b.lot.Room():
				s.lease(b, s.IntN(4) > 0)
			case event < 53:
				if list := b.lot.Unused(); len(list) > 0 {
					b.append(t, record.Entry{Kind: record.NumbersReturned, About: record.AboutOf(record.Returned{Blocks: list})})
				}
			default:
				s.takes(b)
			}
		}
		early += s.early
	}
	if early == 0 {
		t.Error("no numbers were given while a ledger was read")
	}
}
