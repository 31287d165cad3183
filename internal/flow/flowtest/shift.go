package flowtest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/job"
)

// Shift is a line with real parts around it, for a bubble of virtual time.
type Shift struct {
	T    *testing.T
	Line *flow.Line
	On   func(flow.Event) // called with each event, one at a time

	Checks int // how often the line asked whether the station is well

	mu     sync.Mutex
	events []flow.Event
}

// NewShift is a line of these slots, with a ledger of its own.
func NewShift(t *testing.T, keysOf KeysOf, token *hsm.Token, job *job.Job, slots ...flow.Slot) *Shift {
	t.Helper()
	s := &Shift{T: t}
	keys := keysOf(token)
	s.Line = &flow.Line{
		Runner: flow.Runner{Job: job, Keys: keys, Ledger: newLedger(t), Station: "test", Simulated: true, Emit: s.Emit},
		Slots:  slots,
		Healthy: func(ctx context.Context) error {
			s.Checks++
			return keys.Ready(ctx, job)
		},
	}
	return s
}

// Emit notes an event, as the line does.
func (s *Shift) Emit(e flow.Event) {
	s.mu.Lock()
	s.events = append(s.events, e)
	s.mu.Unlock()
	if s.On != nil {
		s.On(e)
	}
}

// Noted are the events so far.
func (s *Shift) Noted() []flow.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// Story is the events of the line and the verdicts, in order.
func (s *Shift) Story() (list []string) {
	for _, e := range s.Noted() {
		switch e.Event {
		case flow.LineHalted, flow.LineResumed:
			list = append(list, e.Event+" "+string(e.Code))
		case flow.DevicePassed, flow.DeviceFailed, flow.DeviceQuarantined:
			list = append(list, fmt.Sprintf("%s %s %s", e.Slot, e.Verdict, e.Code))
		}
	}
	return list
}

// WantStory fails the test where the story is another.
func (s *Shift) WantStory(want ...string) {
	s.T.Helper()
	if got := s.Story(); !slices.Equal(got, want) {
		s.T.Errorf("got %q, want %q", got, want)
	}
}

// Code is that of the first event of a kind.
func (s *Shift) Code(event string) flow.Code {
	for _, e := range s.Noted() {
		if e.Event == event {
			return e.Code
		}
	}
	return ""
}
