package sitetest

import (
	"time"
	_ "unsafe" // for go:linkname
)

// The servers' own clocks, as their own tests set them: who leads is decided in two seconds
// instead of ten. Nothing else in the servers is changed.
//
//go:linkname minElection github.com/nats-io/nats-server/v2/server.minElectionTimeout
var minElection time.Duration

//go:linkname maxElection github.com/nats-io/nats-server/v2/server.maxElectionTimeout
var maxElection time.Duration

//go:linkname heartbeat github.com/nats-io/nats-server/v2/server.hbInterval
var heartbeat time.Duration

func init() {
	minElection, maxElection, heartbeat = 1500*time.Millisecond, 2500*time.Millisecond, 150*time.Millisecond
}
