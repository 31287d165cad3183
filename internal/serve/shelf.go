package serve

import (
	"errors"
	"log/slog"
	"sync"

	"station/internal/release"
)

// shelf keeps what was read of records of one kind, by name, as it was at a
// generation of the store: a poll does not read it again. What is on it is
// everybody's: who gets it changes nothing in it.
type shelf[T any] struct {
	mu         sync.Mutex
	generation uint64
	kept       map[string]T
}

// read gives what is kept under a name, or loads it.
func (s *shelf[T]) read(from Store, kind, name string, load func() (T, error)) (v T, err error) {
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

func (s *shelf[T]) at(generation uint64, name string) (v T, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		return v, false
	}
	v, ok = s.kept[name]
	return v, ok
}

func (s *shelf[T]) put(generation uint64, name string, v T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation || s.kept == nil {
		s.generation, s.kept = generation, map[string]T{}
	}
	s.kept[name] = v
}

// releases are those of a product, the newest first.
func (s *Server) releases(product string) ([]*release.Release, error) {
	if release.CheckProduct(product) != nil {
		return nil, nil
	}
	return s.shelf.read(s.Store, "release", product, func() ([]*release.Release, error) { return release.LoadAll(s.Store, product, s.leftOut) })
}

// rollout is that of a release, nil where there is none.
func (s *Server) rollout(r *release.Release) (*release.Rollout, error) {
	return s.rollouts.read(s.Store, "rollout", release.RolloutKey(r.Product, r.ID), func() (*release.Rollout, error) {
		roll, _, err := release.LoadRollout(s.Store, r.Product, r.ID)
		if damaged, is := errors.AsType[*release.Damaged](err); is { // the release is offered to nobody
			s.leftOut(damaged)
			return nil, nil
		}
		return roll, err
	})
}

// leftOut tells of a record that cannot be used.
func (s *Server) leftOut(d *release.Damaged) {
	s.counts.errors.Add(1)
	if s.Access != nil {
		s.Access.Error("left out", slog.String("error", d.Error()))
	}
}
