package record

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"station/internal/chip"
)

// Visit is one device in one slot, from the moment it was recognised to its
// verdict.
type Visit struct {
	Run      string   // joins its entries
	First    uint64   // index of the first of them
	MAC      chip.MAC // zero where the device never told
	Virtual  bool     // the device was a virtual chip
	Serial   string
	Station  string
	Slot     string
	Operator string
	Begin    time.Time
	End      time.Time
	Verdict  Verdict // Begun: it was pulled, or the station lost power
	Code     Code
	Already  bool       // sealed before; nothing was done
	Seconds  float64    // by the station's monotonic clock where that was told; 0: unknown
	Steps    []StepTime // in order
	Retries  int        // blocks that were sent again; no entry tells them, only events do

	whole bool // its first entry is known
}

// StepTime is how long a step took: from the last entry of the step before to
// its own last entry.
type StepTime struct {
	Step    string
	Seconds float64
}

// Visits puts the entries of a log together as visits: the only fold that does.
// It remembers only the visits that have not ended. The zero value is ready.
type Visits struct {
	open map[string]*Visit // by run
}

// Add takes the next entry of the log and returns the visits that have ended
// with it: its own, and one that was in the slot before and never came to its
// end.
func (f *Visits) Add(e *Entry) (ended []*Visit) {
	if e.Run == "" {
		return nil
	}
	v := f.open[e.Run]
	if v == nil {
		v = begun(e)
		ended = f.giveUp(v)
		if f.open == nil {
			f.open = map[string]*Visit{}
		}
		f.open[v.Run] = v
	} else {
		v.step(e)
	}
	if !v.take(e) {
		return ended
	}
	delete(f.open, e.Run)
	return append(ended, v)
}

// begun is the visit that begins with an entry. It keeps no memory of the entry's.
func begun(e *Entry) *Visit {
	return &Visit{Run: strings.Clone(e.Run), First: e.Index, MAC: e.MAC, Station: strings.Clone(e.Station), Slot: strings.Clone(e.Slot),
		Operator: strings.Clone(e.Operator), Begin: e.Time, Verdict: Begun, whole: e.Kind == DeviceSeen}
}

// Open is how many visits have not ended.
func (f *Visits) Open() int { return len(f.open) }

// Oldest is the index of the first entry of the visits that have not ended; false where
// there is none.
func (f *Visits) Oldest() (index uint64, open bool) {
	for _, v := range f.open {
		if !open || v.First < index {
			index, open = v.First, true
		}
	}
	return index, open
}

// End gives up all visits that have not ended, in the order of their begin.
func (f *Visits) End() []*Visit {
	var rest []*Visit
	for _, v := range f.open {
		rest = append(rest, v)
	}
	clear(f.open)
	slices.SortFunc(rest, func(a, b *Visit) int {
		return cmp.Or(a.Begin.Compare(b.Begin), cmp.Compare(a.MAC.String(), b.MAC.String()))
	})
	return rest
}

// giveUp ends the visit that was in the slot before.
func (f *Visits) giveUp(now *Visit) (ended []*Visit) {
	for run, v := range f.open {
		if v.Slot == now.Slot && v.Station == now.Station {
			delete(f.open, run)
			ended = append(ended, v)
		}
	}
	return ended
}

// step adds the time since the last entry to the entry's step.
func (v *Visit) step(e *Entry) {
	seconds := max(0, e.Time.Sub(v.End).Seconds())
	if n := len(v.Steps); n > 0 && v.Steps[n-1].Step == e.Step {
		v.Steps[n-1].Seconds += seconds
	} else if e.Step != "" {
		v.Steps = append(v.Steps, StepTime{strings.Clone(e.Step), seconds})
	}
}

// take reports whether the visit has ended with the entry.
func (v *Visit) take(e *Entry) (ended bool) {
	v.End, v.Virtual = e.Time, v.Virtual || e.Simulated
	if v.MAC.IsZero() {
		v.MAC = e.MAC
	}
	switch {
	case e.Kind == Sealed:
		v.Verdict = Pass
	case e.Kind == Admitted && e.Decision == DecisionSealed:
		v.Verdict, v.Already = Pass, true
	case e.Kind == Failed:
		v.Verdict, v.Code = Verdict(strings.Clone(string(e.Verdict))), Code(strings.Clone(string(e.Code)))
	default:
		return false
	}
	if v.Seconds = e.Seconds; v.Seconds == 0 && v.whole {
		v.Seconds = v.End.Sub(v.Begin).Seconds()
	}
	return true
}
