package station

import (
	"strings"
	"testing"

	"station/internal/record"
	"station/internal/release"
	"station/internal/store"
)

// rolled is release 7 of lamp in a store of its own, with a ledger.
func rolled(t *testing.T) *Releases {
	t.Helper()
	kept, err := store.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	doc := &release.Release{Format: release.Format, ID: 7, Product: "lamp", Name: "lamp", Version: "1.2.0",
		Forms: []release.Form{{Kind: release.KindOther, Size: 3, SHA256: digestOf([]byte("swu"))}}}
	for key, value := range map[string][]byte{release.Key("lamp", 7): doc.JSON(), release.ClaimKey(7): []byte("lamp")} {
		if _, err := kept.Set(key, value, 0); err != nil {
			t.Fatal(err)
		}
	}
	return &Releases{Ledger: emptyField(t), Store: kept, Operator: "anna"}
}

// A rollout that is held, by a person or by itself, goes on by a resume alone, which has a reason;
// one that stopped by itself counts anew then.
func TestHeldRolloutGoesOnByResumeAlone(t *testing.T) {
	r := rolled(t)
	samples, failures, more := 4, 50, 60
	roll, err := r.Start(7, Share{Samples: &samples, Failures: &failures}, "")
	if err != nil || roll.Percent != DefaultPercent || roll.State != release.Running {
		t.Fatalf("got %+v, %v", roll, err)
	}
	held := func(state release.State, reason string) {
		t.Helper()
		for _, share := range []Share{{}, {Percent: &more}} {
			if _, err := r.Start(7, share, ""); err == nil || !strings.Contains(err.Error(), string(state)+": "+reason) || !strings.Contains(err.Error(), "station rollout resume 7 --reason") {
				t.Errorf("%s, started: %v", state, err)
			}
		}
		doc, err := r.Find(7)
		if err != nil {
			t.Fatal(err)
		}
		if roll, _, err := r.Rollout(doc); err != nil || roll.State != state || roll.Percent != DefaultPercent {
			t.Errorf("it is %+v, %v", roll, err)
		}
	}
	if _, err := r.Pause(7, "two came back"); err != nil {
		t.Fatal(err)
	}
	held(release.Paused, "two came back")
	if roll, err = r.Resume(7, "they are fine"); err != nil {
		t.Fatal(err)
	}
	for range 4 { // as the server counts
		roll.Result(false)
	}
	if _, err := r.Store.Set(release.RolloutKey("lamp", 7), roll.JSON(), 3); err != nil || roll.State != release.Stopped {
		t.Fatalf("got %+v, %v", roll, err)
	}
	held(release.Stopped, "4 of 4 devices failed")
	if roll, err = r.Resume(7, "it was the power supply"); err != nil || roll.State != release.Running || roll.Reason != "" {
		t.Fatalf("got %+v, %v", roll, err)
	}
	for i := range 3 {
		if roll.Result(false) {
			t.Errorf("it stops at the failure %d after it went on", i+1)
		}
	}
	if !roll.Result(false) {
		t.Error("it does not stop a second time")
	}
	if fields, err := r.Ledger.Fields(record.RolloutChanged); err != nil || len(fields) != 4 {
		t.Errorf("the ledger has %+v, %v", fields, err)
	}
}

// What is not said of a rollout that runs stays as it is.
func TestStartKeepsWhatIsNotSaid(t *testing.T) {
	r := rolled(t)
	percent, samples, failures := 25, 40, 3
	if _, err := r.Start(7, Share{&percent, &samples, &failures}, ""); err != nil {
		t.Fatal(err)
	}
	more := 50
	for _, v := range []struct {
		share Share
		want  [3]int
	}{{Share{}, [3]int{25, 40, 3}}, {Share{Percent: &more}, [3]int{50, 40, 3}}, {Share{Samples: &more}, [3]int{50, 50, 3}}, {Share{Failures: &more}, [3]int{50, 50, 50}}} {
		roll, err := r.Start(7, v.share, "")
		if err != nil || [3]int{roll.Percent, roll.Samples, roll.Failures} != v.want {
			t.Errorf("%+v: got %+v, %v, want %d", v.share, roll, err, v.want)
		}
	}
	fewer := 10
	if _, err := r.Start(7, Share{Percent: &fewer}, ""); err == nil || !strings.Contains(err.Error(), "a share only grows") {
		t.Errorf("got %v", err)
	}
}
