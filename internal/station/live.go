package station

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/site"
)

// live tells the site what the slots of the bench do: the newest state, whenever the
// site takes it. The line waits for nothing of it.
type live struct {
	mu     sync.Mutex
	status board.Status
	begun  bool
	dirty  bool
}

// How often the site is told: soon after a change, and otherwise so that it knows that
// the bench is there.
const (
	liveSoon  = 250 * time.Millisecond
	liveAgain = 5 * time.Second
)

// Tell takes an event of the line for the site. Where there is none it does nothing.
func (s *Site) Tell(e flow.Event) {
	if s == nil {
		return
	}
	s.live.mu.Lock()
	defer s.live.mu.Unlock()
	s.live.status.Apply(e)
	s.live.begun, s.live.dirty = true, true
}

// next is what is to be told: nothing before the line has begun, and nothing that is not new.
func (l *live) next(always bool) ([]byte, error) {
	l.mu.Lock()
	if !l.begun || !l.dirty && !always {
		l.mu.Unlock()
		return nil, nil
	}
	l.dirty = false
	now := l.status.Live()
	l.mu.Unlock()
	return json.Marshal(now)
}

// tellLive tells the site until ctx ends.
func (s *Site) tellLive(ctx context.Context) {
	tick := time.NewTicker(liveSoon)
	defer tick.Stop()
	lastSent := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if s.sayLive(now.Sub(lastSent) >= liveAgain) {
				lastSent = now
			}
		}
	}
}

// sayLive says it once, and reports whether the site was told.
func (s *Site) sayLive(always bool) bool {
	data, err := s.live.next(always)
	if err != nil || data == nil || len(data) > site.MostLive {
		return false
	}
	if s.Outbox.Live(data) != nil {
		s.live.mu.Lock()
		s.live.dirty = true // for when the site is back
		s.live.mu.Unlock()
		return false
	}
	return true
}
