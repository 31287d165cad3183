package board

import (
	"math"
	"testing"
	"time"

	"station/internal/flow"
	"station/internal/record"
)

func TestDayCounts(t *testing.T) {
	d := &Day{}
	for _, v := range []record.Visit{
		{End: at(60), MAC: macA, Verdict: record.Retry, Code: "E-DEAF", Seconds: 2},
		{End: at(120), MAC: macA, Verdict: record.Pass, Seconds: 40},
		{End: at(180), MAC: macB, Verdict: record.Pass, Seconds: 50},
		{End: at(200), MAC: macB, Verdict: record.Pass, Already: true, Seconds: 0.5},
		{End: at(240), Verdict: record.Station, Code: "E-HSM"},
		{End: at(260), Verdict: record.Retry, Code: "E-DEAF"},
	} {
		d.Add(v)
	}
	want := flow.Counts{Passed: 3, Already: 1, Retry: 2, Station: 1}
	if d.Counts != want {
		t.Errorf("got %+v, want %+v", d.Counts, want)
	}
	if yield, ok := d.FirstPassYield(); !ok || yield != 0.5 {
		t.Errorf("first-pass yield: got %v %t, want 0.5: one of two devices", yield, ok)
	}
	if got := d.PerDevice(); got != 45*time.Second {
		t.Errorf("time per device: got %v, want 45s", got)
	}
	if got := d.Visits(macA); got != 2 {
		t.Errorf("visits: got %d, want 2", got)
	}
	failures := d.Failures()
	if len(failures) != 2 || failures[0] != (CodeCount{"E-DEAF", 2}) || failures[1] != (CodeCount{"E-HSM", 1}) {
		t.Errorf("failures: got %v", failures)
	}
}

func TestDayPerHour(t *testing.T) {
	d := &Day{}
	if got := d.PerHour(at(0)); got != 0 {
		t.Errorf("before the first device: got %v", got)
	}
	for i := range 180 { // one a minute for three hours
		d.Add(record.Visit{End: at(float64(60 * (i + 1))), MAC: [6]byte{1, byte(i)}, Verdict: record.Pass, Seconds: 60})
	}
	if got := d.PerHour(at(3 * 3600)); got != 60 {
		t.Errorf("after three hours: got %v, want 60", got)
	}
	if got := d.PerHour(at(3*3600 + 1800)); got != 30 {
		t.Errorf("after half an hour of nothing: got %v, want 30", got)
	}
	if n := len(d.sealed); n > 61 {
		t.Errorf("%d times are kept, want an hour's", n)
	}
	young := &Day{}
	young.Add(record.Visit{End: at(60), MAC: macA, Verdict: record.Pass, Seconds: 60})
	if got := young.PerHour(at(120)); math.Abs(got-30) > 1e-9 {
		t.Errorf("after two minutes: got %v, want 30", got)
	}
}

// What the ledger tells after a restart is what the events told before it.
func TestDayFromTheLedger(t *testing.T) {
	live, reread := &Day{}, &Day{}
	for _, v := range []record.Visit{
		{End: at(10), MAC: macA, Verdict: record.Quarantine, Code: "E-FOREIGN-KEY", Seconds: 10},
		{End: at(140), MAC: macB, Verdict: record.Pass, Seconds: 40},
		{End: at(150), MAC: macB, Verdict: record.Pass, Already: true, Seconds: 0},
	} {
		live.Add(v)
	}
	seen := func(s float64, run string) record.Entry {
		return record.Entry{Kind: record.DeviceSeen, Time: at(s), Run: run}
	}
	for _, e := range []record.Entry{
		{Kind: record.LedgerCreated, Time: at(-5)},
		seen(1, "a"),
		{Kind: record.Admitted, Decision: flow.DecisionQuarantine, Time: at(5), Run: "a", MAC: macA},
		{Kind: record.Failed, Time: at(10), Run: "a", MAC: macA, Verdict: record.Quarantine, Code: "E-FOREIGN-KEY", Seconds: 10},
		seen(100, "b"),
		{Kind: record.Admitted, Decision: flow.DecisionFresh, Time: at(101), Run: "b", MAC: macB},
		{Kind: record.Sealed, Time: at(140), Run: "b", MAC: macB, Verdict: record.Pass},
		seen(150, "c"),
		{Kind: record.Admitted, Decision: flow.DecisionSealed, Time: at(150), Run: "c", MAC: macB},
	} {
		reread.Record(e)
	}
	if reread.Counts != live.Counts || reread.FirstPass != live.FirstPass || reread.Devices != live.Devices ||
		reread.PerDevice() != live.PerDevice() || reread.Since != live.Since {
		t.Errorf("got %+v, want %+v", reread, live)
	}
	if reread.folded.Open() != 0 {
		t.Errorf("%d runs are still open", reread.folded.Open())
	}
}
