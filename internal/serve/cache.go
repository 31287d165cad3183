package serve

import (
	"errors"
	"log/slog"
	"sync"

	"station/internal/release"
)

// cache keeps what was read from the store's records of one kind, so that a poll does
// not read them again. A change of the store's generation empties it. Requests share the
// values: nobody may change them.
type cache[T any] struct {
	mu         sync.Mutex
	generation uint64
	values     map[string]T
}

// read gives the value with that name, from the cache or by load.
func (s *cache[T]) read(from Store, kind, name string, load func() (T, error)) (v T, err error) {
	generation, settled, err := from.Generation(kind)
	if err != nil {
		return v, err
	}
	if v, ok := s.at(generation, name); settled && ok {
		return v, nil
	}
	if v, err = load(); err == nil && settled {
		s.put(generation, name, v)
	}
	return v, err
}

// at is the cached value with that name, if it was read at that generation.
func (s *cache[T]) at(generation uint64, name string) (v T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		return v, false
	}
	v, ok = s.values[name]
	return v, ok
}

// put caches a value that was read at that generation.
func (s *cache[T]) put(generation uint64, name string, v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation || s.values == nil {
		s.generation, s.values = generation, map[string]T{}
	}
	s.values[name] = v
}

// releases are all releases of a product, the newest first.
func (s *Server) releases(product string) ([]*release.Release, error) {
	if release.CheckProduct(product) != nil {
		return nil, nil
	}
	return s.releaseCache.read(s.Store, "release", product, func() ([]*release.Release, error) { return release.LoadAll(s.Store, product, s.leftOut) })
}

// rollout is the rollout of a release, nil where there is none.
func (s *Server) rollout(r *release.Release) (*release.Rollout, error) {
	return s.rolloutCache.read(s.Store, "rollout", release.RolloutKey(r.Product, r.ID), func() (*release.Rollout, error) {
		roll, _, err := release.LoadRollout(s.Store, r.Product, r.ID)
		if damaged, is := errors.AsType[*release.Damaged](err); is { // a release whose rollout is damaged is offered to nobody
			s.leftOut(damaged)
			return nil, nil
		}
		return roll, err
	})
}

// leftOut counts and logs a record that is damaged and therefore not used.
func (s *Server) leftOut(d *release.Damaged) {
	s.counts.errors.Add(1)
	if s.Access != nil {
		s.Access.Error("left out", slog.String("error", d.Error()))
	}
}
