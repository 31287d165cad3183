package hub

import (
	"bytes"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"station/internal/site"
)

// Live is the last that a bench told of what it does.
type Live struct {
	At    time.Time
	State []byte
}

// live keeps the last word of each bench, in memory only.
type live struct {
	mu      sync.Mutex
	last    map[string]Live
	changed chan struct{} // closed with the next word
}

// take keeps a word. Who told it is in the subject: a bench may publish on no other.
func (l *live) take(m *nats.Msg) {
	if len(m.Data) > site.MostLive {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.last == nil {
		l.last = map[string]Live{}
	}
	l.last[strings.TrimPrefix(m.Subject, site.LiveOf(""))] = Live{time.Now(), bytes.Clone(m.Data)}
	if l.changed != nil {
		close(l.changed)
		l.changed = nil
	}
}

// Live is the last that the bench told since the site runs here.
func (s *Server) Live(bench string) (Live, bool) {
	l := &s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	word, ok := l.last[bench]
	return word, ok
}

// Told is closed when any bench tells something new.
func (s *Server) Told() <-chan struct{} {
	l := &s.hub.live
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Benches are all that belong to the site, or did, with what it has of them.
func (s *Server) Benches() (list []Member, err error) {
	all, err := s.folder.Benches()
	if err != nil {
		return nil, err
	}
	return members(all, s.hub.Benches()), nil
}
