package board

import (
	"cmp"
	"slices"
	"time"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
)

// Day is what a station has done today. It folds visits as they happen, and
// entries of the ledger for what happened before this program started.
type Day struct {
	Counts    flow.Counts
	Codes     map[flow.Code]int // failures by code
	Devices   int               // different devices that had a verdict of their own
	FirstPass int               // of them sealed at their first visit
	Seconds   float64           // spent on sealed devices
	Timed     int               // how many devices Seconds is of
	Since     time.Time         // of the first visit
	Virtual   int               // visits of virtual chips at a real station, which count in nothing else

	Simulated bool // the station has virtual chips only: they are what it counts

	visits map[chip.MAC]int
	sealed []time.Time   // within the last hour, oldest first
	folded record.Visits // of the ledger
}

// Add counts one visit. A STATION verdict is not the device's and makes no
// visit of it; a device that was sealed before is counted apart, and a virtual
// chip at a real station not at all.
func (d *Day) Add(v record.Visit) {
	if v.Virtual {
		d.Virtual++
		return
	}
	if d.Since.IsZero() {
		d.Since = v.End.Add(-seconds(v.Seconds))
	}
	d.Counts.Add(v.Verdict, v.Already)
	if v.Code != "" {
		if d.Codes == nil {
			d.Codes = map[flow.Code]int{}
		}
		d.Codes[v.Code]++
	}
	if v.Verdict == record.Station || v.Already {
		return
	}
	first := d.visit(v.MAC)
	if v.Verdict != record.Pass {
		return
	}
	if first {
		d.FirstPass++
	}
	if v.Seconds > 0 {
		d.Seconds += v.Seconds
		d.Timed++
	}
	d.sealed = append(d.within(v.End), v.End)
}

// visit counts the visit of a device and reports whether it was its first. A
// device that never told its MAC is none.
func (d *Day) visit(mac chip.MAC) (first bool) {
	if mac.IsZero() {
		return false
	}
	if d.visits == nil {
		d.visits = map[chip.MAC]int{}
	}
	d.visits[mac]++
	first = d.visits[mac] == 1
	if first {
		d.Devices++
	}
	return first
}

// Visits is how often the device was here today with a verdict of its own.
func (d *Day) Visits(mac chip.MAC) int { return d.visits[mac] }

// Record counts what an entry of the ledger tells. Entries come in the order
// of the ledger.
func (d *Day) Record(e record.Entry) {
	for _, v := range d.folded.Add(&e) {
		if v.Virtual = v.Virtual && !d.Simulated; v.Verdict != record.Begun {
			d.Add(*v)
		}
	}
}

// FirstPassYield is the share of devices that were sealed at their first
// visit; false before the first device.
func (d *Day) FirstPassYield() (float64, bool) {
	if d.Devices == 0 {
		return 0, false
	}
	return float64(d.FirstPass) / float64(d.Devices), true
}

// PerDevice is the mean time of a sealed device.
func (d *Day) PerDevice() time.Duration {
	if d.Timed == 0 {
		return 0
	}
	return seconds(d.Seconds / float64(d.Timed))
}

// PerHour is how many devices an hour the station seals, by its last hour.
func (d *Day) PerHour(now time.Time) float64 {
	worked := now.Sub(d.Since)
	if d.Since.IsZero() || worked <= 0 {
		return 0
	}
	n := 0
	for _, t := range d.sealed {
		if now.Sub(t) < time.Hour {
			n++
		}
	}
	return float64(n) / min(worked, time.Hour).Hours()
}

func (d *Day) within(now time.Time) []time.Time {
	i := 0
	for i < len(d.sealed) && now.Sub(d.sealed[i]) >= time.Hour {
		i++
	}
	return d.sealed[i:]
}

// CodeCount is how often one code came up.
type CodeCount struct {
	Code flow.Code
	N    int
}

// Failures are the codes of today, most frequent first.
func (d *Day) Failures() []CodeCount {
	var list []CodeCount
	for code, n := range d.Codes {
		list = append(list, CodeCount{code, n})
	}
	slices.SortFunc(list, func(a, b CodeCount) int {
		return cmp.Or(b.N-a.N, cmp.Compare(a.Code, b.Code))
	})
	return list
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
