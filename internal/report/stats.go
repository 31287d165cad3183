package report

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	plaintext "station/internal/plain"
	"station/internal/record"
)

// Stats are the numbers of a report. They come from visits alone.
type Stats struct {
	Visits    int
	Already   int // of them devices that were sealed before
	Judged    int // devices with a verdict of their own, STATION not counted
	FirstPass int // of them sealed at their first visit
	Codes     []CodeStats
	Times     Spread // of visits that sealed a device, in seconds
	Steps     []StepStats
	Buckets   []Bucket // in the order of time
	Bucket    time.Duration
	Slots     []SlotStats

	seconds []float64 // behind Times
	first   map[chip.MAC]bool
}

// CodeStats is how often a visit failed with a code.
type CodeStats struct {
	Code     record.Code
	Verdict  record.Verdict
	Sentence string
	N        int
	Share    float64 // of all failures
	UpTo     float64 // share of this code and those before it
}

// Spread is what is told of many durations, in seconds.
type Spread struct {
	N                      int
	Min, Median, P95, Mean float64
	Max                    float64
}

// StepStats are the times of one step in visits that sealed a device.
type StepStats struct {
	Step string
	Spread
}

// Bucket is what a stretch of time brought.
type Bucket struct {
	Start          time.Time
	Passed, Failed int // visits; sealed before counts as neither
}

// SlotStats compare the slots.
type SlotStats struct {
	Station, Slot          string
	Visits, Passed, Failed int // Failed is by the device
	StationFaults, Pulled  int
	Judged, FirstPass      int
	Times                  Spread
	Worst                  record.Code // code that came up most
	WorstN                 int

	seconds []float64
	codes   map[record.Code]int
}

// statsFold counts visits, which come in the order of their ends.
type statsFold struct {
	Stats
	codes map[record.Code]int
	steps map[string][]float64
	order []string // steps as they were first seen
	slots map[[2]string]*SlotStats
	times map[time.Time]*Bucket // by minute; joined at the end
}

func newStatsFold() *statsFold {
	f := &statsFold{codes: map[record.Code]int{}, steps: map[string][]float64{}, slots: map[[2]string]*SlotStats{}, times: map[time.Time]*Bucket{}}
	f.first = map[chip.MAC]bool{}
	return f
}

func (f *statsFold) add(v *record.Visit) {
	f.Visits++
	slot := f.slot(v)
	slot.Visits++
	if v.Code != "" {
		f.codes[v.Code]++
		slot.codes[v.Code]++
	}
	switch {
	case v.Already:
		f.Already++
		return
	case v.Verdict == record.Begun:
		slot.Pulled++
		return
	case v.Verdict == record.Station:
		slot.StationFaults++
		return
	}
	f.judge(v, slot)
	minute := v.End.Truncate(time.Minute)
	if f.times[minute] == nil {
		f.times[minute] = &Bucket{Start: minute}
	}
	if v.Verdict != record.Pass {
		slot.Failed++
		f.times[minute].Failed++
		return
	}
	slot.Passed++
	f.times[minute].Passed++
	f.seconds, slot.seconds = append(f.seconds, v.Seconds), append(slot.seconds, v.Seconds)
	for _, s := range v.Steps {
		if f.steps[s.Step] == nil {
			f.order = append(f.order, s.Step)
		}
		f.steps[s.Step] = append(f.steps[s.Step], s.Seconds)
	}
}

// judge counts the device's first visit that had a verdict of its own.
func (f *statsFold) judge(v *record.Visit, slot *SlotStats) {
	if f.first[v.MAC] {
		return
	}
	f.first[v.MAC] = true
	f.Judged++
	slot.Judged++
	if v.Verdict == record.Pass {
		f.FirstPass++
		slot.FirstPass++
	}
}

func (f *statsFold) slot(v *record.Visit) *SlotStats {
	at := [2]string{v.Station, v.Slot}
	if f.slots[at] == nil {
		f.slots[at] = &SlotStats{Station: v.Station, Slot: v.Slot, codes: map[record.Code]int{}}
	}
	return f.slots[at]
}

// end computes what needs all visits.
func (f *statsFold) end(zone *time.Location) Stats {
	f.Codes = pareto(f.codes)
	f.Times = spread(f.seconds)
	for _, step := range f.order {
		f.Steps = append(f.Steps, StepStats{step, spread(f.steps[step])})
	}
	for _, s := range f.slots {
		s.Times = spread(s.seconds)
		if list := pareto(s.codes); len(list) > 0 {
			s.Worst, s.WorstN = list[0].Code, list[0].N
		}
		f.Slots = append(f.Slots, *s)
	}
	slices.SortFunc(f.Slots, func(a, b SlotStats) int {
		return cmp.Or(plaintext.Natural(a.Station, b.Station), plaintext.Natural(a.Slot, b.Slot))
	})
	f.Buckets, f.Bucket = join(f.times, zone)
	return f.Stats
}

// pareto puts the most frequent code first.
func pareto(codes map[record.Code]int) (list []CodeStats) {
	all, so := 0, 0
	for code, n := range codes {
		kind := flow.FailureOf(code)
		list = append(list, CodeStats{Code: code, Verdict: kind.Verdict, Sentence: kind.Sentence, N: n})
		all += n
	}
	slices.SortFunc(list, func(a, b CodeStats) int { return cmp.Or(b.N-a.N, cmp.Compare(a.Code, b.Code)) })
	for i := range list {
		so += list[i].N
		list[i].Share, list[i].UpTo = float64(list[i].N)/float64(all), float64(so)/float64(all)
	}
	return list
}

// spread sorts its argument.
func spread(s []float64) Spread {
	if len(s) == 0 {
		return Spread{}
	}
	slices.Sort(s)
	sum := 0.0
	for _, v := range s {
		sum += v
	}
	return Spread{N: len(s), Min: s[0], Median: quantile(s, 0.5), P95: quantile(s, 0.95), Mean: sum / float64(len(s)), Max: s[len(s)-1]}
}

// quantile is the value that a share q of a sorted list does not exceed.
func quantile(s []float64, q float64) float64 {
	return s[max(0, int(math.Ceil(q*float64(len(s))))-1)]
}

// maxBuckets is how many bars a chart over time may have.
const maxBuckets = 48

// join makes the minutes into stretches that are not too many.
func join(minutes map[time.Time]*Bucket, zone *time.Location) ([]Bucket, time.Duration) {
	if len(minutes) == 0 {
		return nil, 0
	}
	starts := slices.SortedFunc(maps.Keys(minutes), time.Time.Compare)
	begin, end := starts[0], starts[len(starts)-1]
	width := time.Duration(0)
	for _, width = range []time.Duration{time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 28 * 24 * time.Hour} {
		if end.Sub(truncate(begin, width, zone)) < maxBuckets*width {
			break
		}
	}
	begin = truncate(begin, width, zone)
	list := make([]Bucket, end.Sub(begin)/width+1)
	for i := range list {
		list[i].Start = begin.Add(time.Duration(i) * width)
	}
	for _, start := range starts {
		b := &list[start.Sub(begin)/width]
		b.Passed += minutes[start].Passed
		b.Failed += minutes[start].Failed
	}
	return list, width
}

// truncate is the begin of the stretch by the clock on the wall.
func truncate(t time.Time, width time.Duration, zone *time.Location) time.Time {
	_, offset := t.In(zone).Zone()
	east := time.Duration(offset) * time.Second
	return t.Add(east).Truncate(width).Add(-east)
}

// FirstPassYield is the share of devices that were sealed at their first
// visit; false where no device had a verdict.
func (s Stats) FirstPassYield() (float64, bool) {
	return ratio(s.FirstPass, s.Judged)
}

func ratio(n, of int) (float64, bool) {
	if of == 0 {
		return 0, false
	}
	return float64(n) / float64(of), true
}
