package main

import (
	"bytes"
	"testing"
	"time"
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
