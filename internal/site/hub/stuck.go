package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/nats-io/nats-server/v2/server"

	"station/internal/keyfile"
	"station/internal/site"
)

// refused is why streams take nothing more, by their names: the disk refused to store something,
// and NATS stores nothing more in such a stream before it is started anew.
func (s *Server) refused() map[string]string {
	var said reply
	s.nats.HandleHealthz(&said, &http.Request{URL: &url.URL{RawQuery: "details=true"}})
	var health server.HealthStatus
	if json.Unmarshal(said.Bytes(), &health) != nil {
		return nil
	}
	streams := map[string]string{}
	for _, e := range health.Errors {
		if e.Type == server.HealthzErrorStream {
			streams[e.Stream] = e.Error
		}
	}
	return streams
}

// leastFree is what the disk of the folder must have: room for the largest entry, once in its
// batch and once in its stream. With less, NATS refuses a batch and says nothing of the disk. A
// variable for tests.
var leastFree int64 = 2 * maxEntry

// stuck tells of each bench why the site stores nothing of it now; "" while it does.
func (s *Server) stuck() (at func(bench string) string) {
	free, err := keyfile.Free(s.folder.Dir)
	full := err == nil && free < leastFree
	if was := s.full.Swap(full); full && !was {
		s.hub.Tell(fullDisk)
	}
	if full {
		return func(string) string { return fullDisk }
	}
	refused := s.refused()
	return func(bench string) string {
		for stream, why := range refused {
			if stream == site.StreamOf(bench) || strings.HasPrefix(stream, "KV_") {
				return fmt.Sprintf("the site's disk refused to store what came (%s): make room there, or see to the disk, and start the site again; until then it takes nothing", why)
			}
		}
		return ""
	}
}

// isStuck is why nothing of the bench is stored, kept for whoever asks often.
func (m *mirror) isStuck() error {
	why := m.hub.stuck()(m.bench)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stuck = why; why != "" {
		return errors.New(why)
	}
	return nil
}

const fullDisk = "the site's disk is full: make room there; until then the site takes nothing, and the benches keep it"

// reply takes what NATS writes to a browser.
type reply struct{ bytes.Buffer }

func (*reply) Header() http.Header { return http.Header{} }
func (*reply) WriteHeader(int)     {}
