package main

import (
	"bytes"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// Nothing in the first second, then five times a second at most, and nothing
// is left at the end.
func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	p := &progress{w: &out, what: "rereading", unit: "entries", now: func() time.Time { return now }}
	for done := range uint64(150) { // 1.5 s
		p.tell(done, 600)
		now = now.Add(10 * time.Millisecond)
	}
	if got, want := out.String(), "\r\x1b[Krereading: 16 %, 100 of 600 entries\r\x1b[Krereading: 20 %, 120 of 600 entries\r\x1b[Krereading: 23 %, 140 of 600 entries"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	out.Reset()
	p.end()
	p.end()
	if got := out.String(); got != "\r\x1b[K" {
		t.Errorf("end: got %q", got)
	}
	now = now.Add(time.Second)
	p.tell(7, 0)
	if got := out.String(); got != "\r\x1b[K\r\x1b[Krereading: 7 entries" {
		t.Errorf("without a total: got %q", got)
	}
	quiet := &progress{now: func() time.Time { return now }}
	quiet.tell(1, 2)
	quiet.end() // nobody looks: nothing to write to
}

// Without a screen a person reads the sentence, what to do, and in the end what it
// came to.
func TestEventsInWords(t *testing.T) {
	for want, e := range map[string]flow.Event{
		"": {Event: flow.StepProgress, Percent: 40},
		"station: device.failed 3 24:0a:c4:01:02:03 boot RETRY E-BOOT-MARKER no marker (1.50 s): It said nothing. Put it back.": {Event: flow.DeviceFailed, Slot: "3",
			MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, Step: "boot", Verdict: record.Retry, Code: "E-BOOT-MARKER", Detail: "no marker", Seconds: 1.5, Message: "It said nothing.", Action: "Put it back."},
		"station: line.done 3 passed (1 of them sealed before), 0 to put back, 0 scrap, 0 in quarantine": {Event: flow.LineDone, Counts: &flow.Counts{Passed: 3, Already: 1}},
	} {
		if got := inWords(e); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
