package main

import (
	"encoding/xml"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// Every verdict of a line is a case: what the device did not pass is a failure,
// what the station did not do an error, and what was sealed before says so.
func TestJUnit(t *testing.T) {
	j := &junit{name: "lamp 1"}
	for i, v := range []struct {
		verdict record.Verdict
		code    flow.Code
	}{{record.Pass, ""}, {record.Pass, ""}, {record.Retry, "E-BOOT-MARKER"}, {record.Scrap, "E-FUSE-WRONG"}, {record.Quarantine, "E-CHIP"}, {record.Station, "E-HSM"}} {
		mac := chip.MAC{0x24, 0x0a, 0xc4, 5: byte(i)}
		j.add(flow.Event{Event: flow.DeviceSeen, Slot: "9", MAC: mac})
		j.add(flow.Event{Event: flow.DeviceFailed, Seconds: 1.5, Slot: "9", MAC: mac, Verdict: v.verdict, Already: i == 1,
			Code: v.code, Message: "it is so", Detail: "in detail"})
	}
	var out strings.Builder
	if err := j.write(&out); err != nil {
		t.Fatal(err)
	}
	var s junitSuite
	if err := xml.Unmarshal([]byte(out.String()), &s); err != nil {
		t.Fatal(err)
	}
	if s.Name != "lamp 1" || s.Tests != 6 || s.Failures != 3 || s.Errors != 1 || len(s.Cases) != 6 {
		t.Fatalf("got %s", out.String())
	}
	for i, c := range s.Cases {
		if c.Class != "lamp 1.slot 9" || !strings.HasPrefix(c.Name, "24:0a:c4:") || c.Seconds != "1.500" || (c.Failure != nil) != (i >= 2 && i <= 4) || (c.Error != nil) != (i == 5) || (c.Out != "") != (i == 1) {
			t.Errorf("case %d: %+v", i, c)
		}
	}
	if f := s.Cases[3].Failure; f == nil || *f != (junitProblem{"E-FUSE-WRONG", "it is so", "SCRAP: in detail"}) {
		t.Errorf("scrap: %+v", f)
	}
}
