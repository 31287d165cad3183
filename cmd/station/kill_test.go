package main

import (
	"fmt"
	"testing"
)

// lockedMode makes the small job burn something in each kind of stage.
var lockedMode = []string{`mode = "release"`,
	"mode = \"release\"\nfuses = { \"WR_DIS.RD_DIS\" = 1, \"WR_DIS.DISABLE_DL_CACHE\" = 1, \"WR_DIS.WR_DIS\" = 1 }"}

// A station that is killed at any moment has burned nothing that its ledger
// does not know of, and the next one finishes the device with the same key.
func TestKilledAnywhere(t *testing.T) {
	f := newFloor(t, lockedMode...)
	for i, name := range f.moments {
		t.Run(fmt.Sprintf("%03d %s", i, name), func(t *testing.T) {
			t.Parallel()
			tr := f.trial(t)
			tr.run(killed, fmt.Sprint("kill ", i))
			tr.honest()
			tr.finish()
		})
	}
}
