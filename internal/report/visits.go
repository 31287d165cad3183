package report

import (
	"cmp"
	"slices"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// Visit is one device in one slot, from the moment it was recognised.
type Visit struct {
	MAC      chip.MAC
	Station  string
	Slot     string
	Operator string
	Begin    time.Time
	End      time.Time
	Verdict  record.Verdict // record.Begun: it was pulled, or the station lost power
	Code     record.Code
	Already  bool       // sealed before; nothing was done
	Steps    []StepTime // in order
}

// StepTime is how long a step took: from the last entry of the step before to
// its own last entry.
type StepTime struct {
	Step    string
	Seconds float64
}

// Seconds is how long the visit took.
func (v *Visit) Seconds() float64 { return v.End.Sub(v.Begin).Seconds() }

// visitFold puts the entries of the log together as visits. It remembers only
// the visits that have not ended.
type visitFold struct {
	open map[string]*Visit // by run
	done func(*Visit)
}

func newVisitFold(done func(*Visit)) *visitFold { return &visitFold{map[string]*Visit{}, done} }

func (f *visitFold) add(e *record.Entry) {
	if e.Run == "" || e.MAC.IsZero() {
		return
	}
	v := f.open[e.Run]
	if v == nil {
		v = &Visit{MAC: e.MAC, Station: e.Station, Slot: e.Slot, Operator: e.Operator, Begin: e.Time, Verdict: record.Begun}
		f.open[e.Run] = v
		f.giveUp(v, e.Run)
	} else {
		v.step(e)
	}
	v.End = e.Time
	switch {
	case e.Kind == record.Sealed:
		v.Verdict = record.Pass
	case e.Kind == record.Admitted && e.Decision == flow.DecisionSealed:
		v.Verdict, v.Already = record.Pass, true
	case e.Kind == record.Failed:
		v.Verdict, v.Code = e.Verdict, e.Code
	default:
		return
	}
	delete(f.open, e.Run)
	f.done(v)
}

// step adds the time since the last entry to the entry's step.
func (v *Visit) step(e *record.Entry) {
	seconds := max(0, e.Time.Sub(v.End).Seconds())
	if n := len(v.Steps); n > 0 && v.Steps[n-1].Step == e.Step {
		v.Steps[n-1].Seconds += seconds
	} else if e.Step != "" {
		v.Steps = append(v.Steps, StepTime{e.Step, seconds})
	}
}

// giveUp ends the visit that was in the slot before: it never came to its end.
func (f *visitFold) giveUp(now *Visit, run string) {
	for other, v := range f.open {
		if other != run && v.Slot == now.Slot && v.Station == now.Station {
			delete(f.open, other)
			f.done(v)
		}
	}
}

// end gives up all visits that have not ended, in the order of their begin.
func (f *visitFold) end() {
	var rest []*Visit
	for _, v := range f.open {
		rest = append(rest, v)
	}
	slices.SortFunc(rest, func(a, b *Visit) int {
		return cmp.Or(a.Begin.Compare(b.Begin), cmp.Compare(a.MAC.String(), b.MAC.String()))
	})
	clear(f.open)
	for _, v := range rest {
		f.done(v)
	}
}
