package replica

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"station/internal/ledger"
)

// Set is the ledgers of all benches. Its methods may be called by several goroutines
// at the same time.
type Set struct {
	dir string

	mu       sync.Mutex
	replicas map[string]*Replica
	watchers map[chan string]bool
}

// New is the set that the site itself fills, in a folder that is made if there is none.
func New(dir string) (*Set, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("replicas: %w", err)
	}
	return &Set{dir: dir, replicas: map[string]*Replica{}, watchers: map[chan string]bool{}}, nil
}

// Open opens all ledgers in the folder, for reading.
func Open(dir string) (*Set, error) {
	s := &Set{dir: dir, replicas: map[string]*Replica{}, watchers: map[chan string]bool{}}
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("replicas: %w", err)
	}
	for _, at := range list {
		r := &Replica{set: s, bench: at.Name(), dir: filepath.Join(dir, at.Name())}
		l, err := ledger.Open(r.path(), ledger.Options{ReadOnly: true})
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has no entry yet
		}
		if err != nil {
			s.Close()
			return nil, fmt.Errorf("replica of %s: %w", at.Name(), err)
		}
		r.use(l)
		s.replicas[at.Name()] = r
	}
	return s, nil
}

// Close closes all ledgers.
func (s *Set) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.replicas {
		r.close()
	}
}

// Benches are those that have a ledger here, in the order of their names.
func (s *Set) Benches() (names []string) {
	for _, r := range s.all() {
		names = append(names, r.bench)
	}
	return names
}

// all are the replicas that have a ledger, in the order of the benches' names.
func (s *Set) all() (list []*Replica) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.replicas {
		if r.Ledger() != nil {
			list = append(list, r)
		}
	}
	slices.SortFunc(list, func(a, b *Replica) int { return strings.Compare(a.bench, b.bench) })
	return list
}

func (s *Set) of(bench string) *Replica {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.replicas[bench]
}

// Ledger is the ledger of a bench; nil where there is none.
func (s *Set) Ledger(bench string) *ledger.Ledger {
	if r := s.of(bench); r != nil {
		return r.Ledger()
	}
	return nil
}

// Watch gives the names of benches of which entries have come, until the function is
// called. Who does not receive misses some.
func (s *Set) Watch() (<-chan string, func()) {
	c := make(chan string, 64)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watchers[c] = true
	return c, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, c)
	}
}

func (s *Set) tell(bench string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.watchers {
		select {
		case c <- bench:
		default:
		}
	}
}
