package serve

import (
	"context"
	"log/slog"
	"time"

	"station/internal/release"
	"station/internal/store"
)

const (
	keepFor    = 7 * 24 * time.Hour // how long files that no release has are kept after their last use
	sweepEvery = 24 * time.Hour
)

// sweeping sweeps at once and then every day until ctx ends. Errors go into the log.
func (s *Server) sweeping(ctx context.Context) {
	again := time.NewTicker(sweepEvery)
	defer again.Stop()
	for {
		if err := s.sweep(time.Now()); err != nil && s.Access != nil {
			s.Access.LogAttrs(ctx, slog.LevelError, "sweep failed", slog.String("error", err.Error()))
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// sweep removes unfinished uploads and the files that no release has, if they were not
// used for keepFor. While the document of any release is damaged no file is removed: it
// could belong to that release.
func (s *Server) sweep(now time.Time) error {
	products, err := s.Store.Keys("release")
	if err != nil {
		return err
	}
	named, whole := map[store.Digest]bool{}, true
	for _, product := range products {
		list, err := release.LoadAll(s.Store, product, func(d *release.Damaged) { s.leftOut(d); whole = false })
		if err != nil {
			return err
		}
		for _, r := range list {
			for _, f := range r.Forms {
				named[store.Digest(f.SHA256)] = true
			}
		}
	}
	_, err = s.Store.Sweep(now.Add(-keepFor), func(d store.Digest) bool { return named[d] || !whole })
	return err
}
