package serve

import (
	"sync"

	"station/internal/release"
)

// shelf are the releases of the products that devices asked for, as they were at
// a generation of the store: a poll does not read them all again.
type shelf struct {
	mu         sync.Mutex
	generation uint64
	products   map[string][]*release.Release
}

// releases are those of a product, the newest first. They are everybody's: who
// gets them changes nothing in them.
func (s *Server) releases(product string) ([]*release.Release, error) {
	if release.CheckProduct(product) != nil {
		return nil, nil
	}
	generation, settled, err := s.Store.Generation("release")
	if err != nil {
		return nil, err
	}
	if list := s.shelf.at(generation, product); settled && list != nil {
		return list, nil
	}
	list, err := release.LoadAll(s.Store, product)
	if err == nil && settled && list != nil {
		s.shelf.put(generation, product, list)
	}
	return list, err
}

func (s *shelf) at(generation uint64, product string) []*release.Release {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation {
		return nil
	}
	return s.products[product]
}

func (s *shelf) put(generation uint64, product string, list []*release.Release) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation != generation || s.products == nil {
		s.generation, s.products = generation, map[string][]*release.Release{}
	}
	s.products[product] = list
}
