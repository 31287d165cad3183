package station

import (
	"testing"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/record"
)

// siteProvocations make real parts of a site fail.
var siteProvocations = map[flow.Code]func(t *testing.T) flow.Code{
	"E-LEDGER-SITE":    refusedBySite,
	"E-SITE":           beforeClaims(siteGone),
	"E-CLAIMED":        beforeClaims(claimedByOther),
	record.Conflicting: beforeClaims(conflictFound),
	record.ElsewhereCode: beforeClaims(func(t *testing.T, b *siteBench, _ *Site) {
		other := &siteLine{siteBench: b.another(t, "bench-2"), t: t}
		other.start()
		other.key(7, "derived:"+flowtest.Master+":0011223344556677")
		other.settled()
	}),
}

// Every failure that a bench has by its site can happen. The other failures are
// provoked beside package flow.
func TestEveryFailureOfASiteIsReached(t *testing.T) {
	for _, code := range flowtest.OfASite {
		t.Run(string(code), func(t *testing.T) {
			provoke := siteProvocations[code]
			if provoke == nil {
				t.Fatal("nothing provokes it")
			}
			if got := provoke(t); got != code {
				t.Errorf("got %q", got)
			}
		})
	}
	if len(siteProvocations) != len(flowtest.OfASite) {
		t.Errorf("%d provocations of %d failures", len(siteProvocations), len(flowtest.OfASite))
	}
}
