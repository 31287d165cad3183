package board

import (
	"slices"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// Status is what the events add up to; everybody who shows the line folds
// events into one. Set Day before the first event where the station has
// worked today already.
type Status struct {
	Job, Revision, Batch, Station, Operator string
	Simulated                               bool
	Undeclared                              bool          // nobody opened the batch
	Target                                  int           // devices wanted; 0 is no limit
	Steps                                   []flow.StepID // IDs of the procedure, in order
	Slots                                   []*SlotStatus
	Counts                                  flow.Counts // since line.ready
	Day                                     Day
	Started                                 time.Time
	Now                                     time.Time   // of the last event
	Halt                                    *flow.Event // line.halted: why no new device is started; nil while devices are started
	Done                                    bool        // line.done was seen
	Owed                                    []Owed      // devices that were taken out and have to be put back, the oldest first
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

// Busy is how many slots work on a device, and held how many of them must not be
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
func (s *Status) Apply(e flow.Event) {
	if e.Time.After(s.Now) {
		s.Now = e.Time
	}
	switch e.Event {
	case flow.LineReady:
		s.ready(e)
		return
	case flow.BatchUndeclared:
		s.Undeclared = true
		return
	case flow.LineHalted:
		s.Halt = &e
		return
	case flow.LineResumed:
		s.Halt = nil
		return
	case flow.LineDone:
		s.Done = true
		return
	}
	if e.Slot == "" {
		return
	}
	if e.Event == flow.LabelFailed {
		s.Slot(e.Slot).unlabelled(e)
		return
	}
	slot := s.Slot(e.Slot)
	slot.apply(e, !s.Simulated)
	s.owe(slot, e)
	if e.Verdict == "" || !isVerdict(e.Event) {
		return
	}
	s.Counts.Add(e.Verdict, e.Already)
	s.Day.Add(slot.Recent[len(slot.Recent)-1])
	slot.Visits = s.Day.Visits(slot.MAC)
}

// Owed is a device that was taken out before it was finished, and has to be put back.
type Owed struct {
	Slot string
	MAC  chip.MAC
}

// owe keeps who has to be put back: a device that can go on, from when it is
// taken out until it is seen again, in whatever slot.
func (s *Status) owe(slot *SlotStatus, e flow.Event) {
	if e.Event == flow.DeviceRemoved {
		if slot.Verdict == record.Retry && !slot.MAC.IsZero() {
			s.Dismiss(slot.MAC)
			s.Owed = append(s.Owed, Owed{slot.Name, slot.MAC})
		}
		return
	}
	if !e.MAC.IsZero() && len(s.Owed) > 0 {
		s.Dismiss(e.MAC)
	}
}

// Dismiss says that the device will not be put back.
func (s *Status) Dismiss(mac chip.MAC) {
	s.Owed = slices.DeleteFunc(slices.Clone(s.Owed), func(o Owed) bool { return o.MAC == mac })
}

// Owes reports whether the device has to be put back.
func (s *Status) Owes(mac chip.MAC) bool {
	return !mac.IsZero() && slices.ContainsFunc(s.Owed, func(o Owed) bool { return o.MAC == mac })
}

func (s *Status) ready(e flow.Event) {
	s.Job, s.Revision, s.Batch = e.Job, e.Revision, e.Batch
	s.Station, s.Operator, s.Simulated = e.Station, e.Operator, e.Simulated
	s.Target, s.Steps, s.Started, s.Halt, s.Done = e.Target, e.Steps, e.Time, nil, false
	for _, name := range e.Slots {
		s.Slot(name)
	}
}

func isVerdict(event string) bool {
	return event == flow.DevicePassed || event == flow.DeviceFailed || event == flow.DeviceQuarantined
}
