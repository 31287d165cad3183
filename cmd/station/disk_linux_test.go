package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/record"
)

// The disk takes nothing any more, from any entry on: no fuse is burned whose
// intent could not be written, nobody reads PASS, and with room again the
// device is finished.
func TestDiskFullAnywhere(t *testing.T) {
	f := newFloor(t)
	for _, i := range momentsOf(f.moments, "before the entry") {
		t.Run(fmt.Sprintf("%03d %s", i, f.moments[i]), func(t *testing.T) {
			t.Parallel()
			tr := f.trial(t)
			events := tr.run(3, fmt.Sprint("full ", i))
			if strings.HasSuffix(f.moments[i], "plan.approved") {
				if len(events) > 0 {
					t.Errorf("a line was begun without an approval: %v", events)
				}
				tr.finish()
				return
			}
			last := slices.IndexFunc(events, func(e flow.Event) bool { return e.Verdict != "" })
			if last < 0 || events[last].Verdict != record.Station || events[last].Code != "E-LEDGER" {
				t.Errorf("got %v, want STATION E-LEDGER", events)
			}
			if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Event == flow.LineHalted && e.Code == "E-LEDGER" }) {
				t.Error("the line is not halted")
			}
			tr.honest()
			if want := f.announcedBefore(i); !slices.Equal(tr.burned(), want) {
				t.Errorf("burned %v, want %v", tr.burned(), want)
			}
			tr.finish()
		})
	}
}

// announcedBefore are the stages whose intent is on disk before the moment.
func (f *floor) announcedBefore(moment int) (list []string) {
	for _, name := range f.moments[:moment] {
		if stage, ok := strings.CutPrefix(name, "after the entry burn.intended "); ok {
			list = append(list, stage)
		}
	}
	return list
}
