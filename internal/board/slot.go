package board

import (
	"slices"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// SlotStatus is one slot as an operator sees it. What the last device left
// stands until the next one begins.
type SlotStatus struct {
	Name, Port string
	MAC        chip.MAC
	Serial     string
	KeyID      string
	Busy       bool // a device is being worked on
	Held       bool // from the first burn to the verdict: do not unplug
	Removed    bool // the last device has left the slot
	Virtual    bool // the device is a virtual chip at a real station

	Step         flow.StepID
	Title        string // the step in plain words
	Percent      int
	Bytes, Total int64
	Rate         float64 // bytes per second, smoothed
	Burning      bool    // the step burns fuses
	Waits        bool    // before its first burn, until others have passed
	Hand         flow.Hand
	HandUntil    time.Time // when the step gives up waiting for the hand; zero: never
	Baud         int       // the rate that the wire runs at
	Retries      int       // blocks that were sent again
	Started      time.Time
	StepStarted  time.Time
	Updated      time.Time
	left         countdown // of the step

	Verdict record.Verdict // of the last device; empty while busy or before the first
	Already bool           // it was sealed before
	Code    flow.Code
	Message string
	Action  string
	Detail  string
	Seconds float64
	Visits  int // of this device today

	Passed, Tried int
	Recent        []record.Visit // the last ten, oldest first
	Log           []flow.Event   // of this visit, without progress
}

// apply folds an event; real tells that the line is none of virtual chips.
func (s *SlotStatus) apply(e flow.Event, real bool) {
	if !s.Busy && (e.Event == flow.StepStarted || isVerdict(e.Event)) {
		s.begin(e)
	}
	s.identify(e)
	s.Virtual = s.Virtual || real && e.Simulated
	switch e.Event {
	case flow.DeviceHand:
		s.Hand, s.HandUntil = e.Hand, e.Until
		if !s.Busy {
			return // of the next device, not in this one's log
		}
	case flow.DeviceWaits:
		s.Waits = true
	case flow.StepStarted:
		s.Waits = false
		s.Step, s.Title, s.Burning = e.Step, e.Message, e.Burning
		s.Held = s.Held || e.Burning
		s.Percent, s.Bytes, s.Total, s.Rate, s.StepStarted, s.left = 0, 0, e.Total, 0, e.Time, countdown{}
	case flow.StepProgress:
		s.progress(e)
		return // not in the log
	case flow.StepDone:
		s.Percent, s.Burning = 100, false
	case flow.DeviceRemoved:
		s.Removed = true
	case flow.DevicePassed, flow.DeviceFailed, flow.DeviceQuarantined:
		s.end(e)
	}
	s.Updated = e.Time
	s.Log = append(s.Log, e)
}

// identify keeps what an event tells about device and port.
func (s *SlotStatus) identify(e flow.Event) {
	keep := func(field *string, v string) {
		if v != "" {
			*field = v
		}
	}
	keep(&s.Port, e.Port)
	keep(&s.KeyID, e.KeyID)
	keep(&s.Serial, e.Serial)
	if !e.MAC.IsZero() {
		s.MAC = e.MAC
	}
	if e.Baud != 0 {
		s.Baud = e.Baud
	}
	s.Retries += e.Retries
}

func (s *SlotStatus) begin(e flow.Event) {
	*s = SlotStatus{Name: s.Name, Port: s.Port, Passed: s.Passed, Tried: s.Tried, Recent: s.Recent,
		Hand: s.Hand, HandUntil: s.HandUntil, Busy: true, Started: e.Time, Updated: e.Time}
}

// settling is how many seconds a change of the rate takes to show, and a step to
// tell how long it will take.
const settling = 2

func (s *SlotStatus) progress(e flow.Event) {
	since := s.Updated
	if since.Before(s.StepStarted) {
		since = s.StepStarted
	}
	if dt := e.Time.Sub(since).Seconds(); dt > 0 && e.Bytes > s.Bytes {
		now := float64(e.Bytes-s.Bytes) / dt
		if s.Rate == 0 {
			s.Rate = now
		}
		s.Rate += dt / (dt + settling) * (now - s.Rate)
	}
	s.Percent, s.Bytes, s.Total, s.Updated = e.Percent, e.Bytes, e.Total, e.Time
	if worked := e.Time.Sub(s.StepStarted); worked >= settling*time.Second && s.Bytes > 0 {
		s.left.expect(e.Time, time.Duration(float64(s.Total-s.Bytes)/float64(s.Bytes)*float64(worked)))
	}
}

// Left is how long the step will still take; 0 where nobody knows.
func (s *SlotStatus) Left(now time.Time) time.Duration {
	if s.left.at.IsZero() || s.Total <= s.Bytes {
		return 0
	}
	return s.left.now(now)
}

func (s *SlotStatus) end(e flow.Event) {
	s.Busy, s.Burning, s.Held, s.Removed, s.Waits = false, false, false, false, false
	s.Verdict, s.Already, s.Code = e.Verdict, e.Already, e.Code
	s.Message, s.Action, s.Detail, s.Seconds = e.Message, e.Action, e.Detail, e.Seconds
	if !s.Virtual {
		s.Tried++
		if e.Verdict == record.Pass {
			s.Passed++
		}
	}
	s.remember(record.Visit{End: e.Time, MAC: s.MAC, Virtual: s.Virtual, Verdict: e.Verdict, Code: e.Code, Already: e.Already,
		Seconds: e.Seconds, Retries: s.Retries})
}

// unlabelled tells that the device that has just passed has no label. When it is
// told, the next one may be there.
func (s *SlotStatus) unlabelled(e flow.Event) {
	if s.Busy || s.Verdict != record.Pass || s.MAC != e.MAC {
		return
	}
	s.Code, s.Message, s.Action, s.Detail = e.Code, e.Message, e.Action, e.Detail
	s.Log = append(s.Log, e)
}

// remembered is how many visits a slot is judged by.
const remembered = 10

func (s *SlotStatus) remember(v record.Visit) {
	s.Recent = append(slices.Clip(s.Recent), v)
	if len(s.Recent) > remembered {
		s.Recent = s.Recent[len(s.Recent)-remembered:]
	}
}
