package station

import (
	"cmp"
	"maps"
	"slices"
)

// standing is how an app stands in a device, and what says so.
type standing struct {
	state    string // one of states
	slot     string // running, other, or the name that the line's record has
	certain  bool   // it is still there
	evidence []place
}

// states of a device, the worst first.
var states = []string{"runs", "has", "ran", "offered"}

// worse tells whether a is to be told rather than b, of two ways in which a device has something.
func (a standing) worse(b standing) bool {
	order := cmp.Compare(slices.Index(states, a.state), slices.Index(states, b.state))
	if a.state == "runs" || b.state == "runs" || a.certain == b.certain {
		return order < 0
	}
	return a.certain
}

func (a *Affected) take(s standing) {
	a.State, a.Slot, a.Certain = s.state, s.slot, s.certain
	a.prove(s.evidence...)
}

// prove names the entries that say so.
func (a *Affected) prove(list ...place) {
	a.Evidence, a.Where = nil, nil
	for _, at := range list {
		a.Evidence, a.Where = append(a.Evidence, at.index), append(a.Where, at.bench)
	}
}

// standing is that of a, without what says so.
func (a *Affected) standing() standing { return standing{a.State, a.Slot, a.Certain, nil} }

// find looks for what the device took, the newest first, then for what it was only offered.
// An update is written to a slot that the device does not run from: so what ran before the
// newest success is in another slot, until one more update is tried.
func (p *past) find(is func(release int64, t word) bool) (standing, bool) {
	runs := p.results[p.runs.Release]
	if runs.index != 0 && is(p.runs.Release, runs) {
		return standing{"runs", "running", true, []place{runs.place}}, true
	}
	took := newest(p.results)
	for i, id := range took {
		if is(id, p.results[id]) {
			return standing{"ran", "other", i == 1 && !p.tried(), []place{p.results[id].place, runs.place}}, true
		}
	}
	for _, id := range newest(p.offers) {
		if is(id, p.offers[id]) {
			return standing{"offered", "other", false, []place{p.offers[id].place}}, true
		}
	}
	return standing{}, false
}

// tried tells whether the device was offered something newer than it runs: that may have been
// written to another slot, whole or in part.
func (p *past) tried() bool {
	for id := range p.offers {
		if id > p.runs.Release {
			return true
		}
	}
	return false
}

// newest are the releases, the newest first.
func newest[T any](of map[int64]T) []int64 {
	ids := slices.Sorted(maps.Keys(of))
	slices.Reverse(ids)
	return ids
}

// made tells how the firmware stands in the device by the hand of the line.
func (w Wanted) made(d device, p *past) (s standing, had bool) {
	all := true // apps that the line wrote are the firmware
	for _, i := range d.Images {
		is := slices.ContainsFunc(w.Firmware, i.Is)
		app := i.Slot != "" || i.Version != "" // the oldest entries name no slots
		all = all && (is || !app)
		if !is || had && i.Slot != factorySlot {
			continue
		}
		had, s = true, standing{"has", i.Slot, !app, []place{{d.line, d.Flashed}}}
		if app && len(p.results) > 0 {
			s.state, s.evidence = "ran", append(s.evidence, p.results[p.runs.Release].place)
		}
	}
	s.certain = s.certain || s.slot == factorySlot || p.keeps(all)
	return s, had
}

// factorySlot is the one to which no update is ever written.
const factorySlot = "factory"

// keeps tells whether what the line wrote still stands in a slot: the device runs it, or ran
// it before the one update that it took. all is that every app of the line is the same.
func (p *past) keeps(all bool) bool {
	return len(p.results) == 0 && !p.tried() || all && (len(p.results) == 0 || len(p.results) == 1 && !p.tried())
}
