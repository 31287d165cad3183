package main

import (
	"fmt"
	"testing"

	"station/internal/racetest"
)

// lockedMode makes the small job burn something in each kind of stage.
// The one device that it may make must not lose its number.
var lockedMode = []string{"[boot]", "[quota]\ndevices = 1\n\n[boot]", `mode = "release"`,
	"mode = \"release\"\nfuses = { \"WR_DIS.RD_DIS\" = 1, \"WR_DIS.DISABLE_DL_CACHE\" = 1, \"WR_DIS.WR_DIS\" = 1 }"}

// A station that is killed at any moment has burned nothing that its ledger
// does not know of, and the next one finishes the device with the same key.
func TestKilledAnywhere(t *testing.T) {
	f := newFloor(t, lockedMode...)
	var m matrix
	var cases racetest.Sample
	m.publish(t, "station-killed")
	for _, c := range []struct{ prefix, class string }{
		{"before the entry", "kill -9 before an entry of the ledger"},
		{"after the entry", "kill -9 after an entry of the ledger"},
		{"after a write", "kill -9 after a write of the fuse controller's registers"},
		{"step.started", "kill -9 when a step begins"},
		{"step.done", "kill -9 when a step is done"},
	} {
		points := momentsOf(f.moments, c.prefix)
		m.plan(c.class, len(points))
		for _, i := range points {
			if cases.Out(sampleOf) {
				continue
			}
			t.Run(fmt.Sprintf("%03d %s", i, f.moments[i]), func(t *testing.T) {
				t.Parallel()
				tr := f.trial(t)
				tr.run(killed, fmt.Sprint("kill ", i))
				tr.honest()
				m.count(c.class, tr.finish())
			})
		}
	}
}
