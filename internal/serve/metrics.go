package serve

import (
	"fmt"
	"net/http"
	"sync/atomic"
)

// counts are the counters that Prometheus reads. They start at 0 with the server.
type counts struct {
	requests                 [6]atomic.Int64 // by the first digit of the HTTP status
	bytes                    atomic.Int64
	polls, offers            atomic.Int64
	succeeded, failed        atomic.Int64
	unknown, refused, errors atomic.Int64
}

// results is the counter of updates that ended that way.
func (c *counts) results(how string) *atomic.Int64 {
	if how == success {
		return &c.succeeded
	}
	return &c.failed
}

// metrics answers with the counters, in version 0.0.4 of Prometheus's text format.
func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	fmt.Fprint(w, "# HELP station_requests_total Requests by the class of their status.\n# TYPE station_requests_total counter\n")
	for class := 1; class < len(s.counts.requests); class++ {
		fmt.Fprintf(w, "station_requests_total{class=\"%dxx\"} %d\n", class, s.counts.requests[class].Load())
	}
	for _, m := range []struct {
		name, help string
		n          *atomic.Int64
	}{
		{"sent_bytes_total", "Bytes of bodies sent.", &s.counts.bytes},
		{"polls_total", "Polls of hawkBit clients.", &s.counts.polls},
		{"offers_total", "Releases offered to a device for the first time.", &s.counts.offers},
		{"updates_succeeded_total", "Updates that devices told to have ended well.", &s.counts.succeeded},
		{"updates_failed_total", "Updates that devices told to have ended badly.", &s.counts.failed},
		{"unknown_total", "Requests without a device's credential.", &s.counts.unknown},
		{"refused_total", "Requests of devices that the record turns away.", &s.counts.refused},
		{"errors_total", "Requests that failed by the server's own fault.", &s.counts.errors},
	} {
		fmt.Fprintf(w, "# HELP station_%s %s\n# TYPE station_%s counter\nstation_%s %d\n", m.name, m.help, m.name, m.name, m.n.Load())
	}
}
