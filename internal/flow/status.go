package flow

import "time"

// Status is what the events add up to; everybody who shows the line folds
// events into one. Set Day before the first event where the station has
// worked today already.
type Status struct {
	Job, Revision, Batch, Station, Operator string
	Simulated                               bool
	Target                                  int      // devices wanted; 0 is no limit
	Steps                                   []string // IDs of the procedure, in order
	Slots                                   []*SlotStatus
	Counts                                  Counts // since line.ready
	Day                                     Day
	Started                                 time.Time
	Now                                     time.Time // of the last event
	Halt                                    *Event    // line.halted: why no device is started; nil while it is
	Done                                    bool      // line.done was seen
}

// Slot finds a slot by name, adding it where it is new.
func (s *Status) Slot(name string) *SlotStatus {
	for _, slot := range s.Slots {
		if slot.Name == name {
			return slot
		}
	}
	slot := &SlotStatus{Name: name}
	s.Slots = append(s.Slots, slot)
	return slot
}

// Busy is how many slots work on a device, Held how many of them must not be
// unplugged.
func (s *Status) Busy() (busy, held int) {
	for _, slot := range s.Slots {
		if slot.Busy {
			busy++
		}
		if slot.Held {
			held++
		}
	}
	return busy, held
}

// Apply folds one event into the status.
func (s *Status) Apply(e Event) {
	if e.Time.After(s.Now) {
		s.Now = e.Time
	}
	switch e.Event {
	case LineReady:
		s.ready(e)
		return
	case LineHalted:
		s.Halt = &e
		return
	case LineResumed:
		s.Halt = nil
		return
	case LineDone:
		s.Done = true
		return
	}
	if e.Slot == "" {
		return
	}
	if e.Event == LabelFailed {
		s.Slot(e.Slot).unlabelled(e)
		return
	}
	slot := s.Slot(e.Slot)
	slot.apply(e)
	if e.Verdict == "" || !isVerdict(e.Event) {
		return
	}
	s.Counts.add(e.Verdict, e.Already)
	s.Day.Add(slot.Recent[len(slot.Recent)-1])
	slot.Visits = s.Day.Visits(slot.MAC)
}

func (s *Status) ready(e Event) {
	s.Job, s.Revision, s.Batch = e.Job, e.Revision, e.Batch
	s.Station, s.Operator, s.Simulated = e.Station, e.Operator, e.Simulated
	s.Target, s.Steps, s.Started, s.Halt, s.Done = e.Target, e.Steps, e.Time, nil, false
	for _, name := range e.Slots {
		s.Slot(name)
	}
}

func isVerdict(event string) bool {
	return event == DevicePassed || event == DeviceFailed || event == DeviceQuarantined
}
