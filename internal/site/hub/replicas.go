package hub

import (
	"context"
	"errors"

	"station/internal/site/replica"
)

// Replicas are the ledgers of all benches of the site that runs here, to be read.
func (s *Server) Replicas() *replica.Set { return s.hub.replicas }

// Replicas are the ledgers of all benches, with all that the site has at this moment,
// for a command: through the site that runs, or, where it does not, from its folder. The
// function ends the use of them.
func (f *Folder) Replicas(ctx context.Context, tell func(string)) (*replica.Set, func(), error) {
	_, err := f.tell(ctx, topicCatchUp, nil)
	if errors.Is(err, ErrNotRunning) {
		return f.alone(ctx, tell)
	}
	if err != nil {
		return nil, nil, wrapped("catch up", err)
	}
	set, err := replica.Open(f.path("replicas"))
	if err != nil {
		return nil, nil, wrapped("replicas", err)
	}
	return set, set.Close, nil
}

// alone runs the site for this process only, for as long as it reads.
func (f *Folder) alone(ctx context.Context, tell func(string)) (*replica.Set, func(), error) {
	s, err := f.run(ctx, tell, &Server{folder: f, alone: true})
	if err != nil {
		return nil, nil, err
	}
	if err := s.hub.caughtUp(ctx); err != nil {
		s.Close()
		return nil, nil, wrapped("catch up", err)
	}
	return s.hub.replicas, s.Close, nil
}
