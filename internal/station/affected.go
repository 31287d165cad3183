package station

import (
	"slices"
	"strings"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/release"
)

// Wanted is which devices are asked for: those for which all that is said here
// is so. What is empty is not asked.
type Wanted struct {
	Release int64  // they run it, or ran it, or were offered it
	Key     string // they have this key: its ID, its label, its check value or its digest
	// Firmware are digests, sha256:… of an image that the line wrote, or of an app that they took
	// later; one of them is enough.
	Firmware []string
	MAC      chip.MAC
	// Any is, where it is not nil, a list of releases: they run one of them, ran it, were
	// offered it, or were sealed with its app.
	Any []*release.Release
	// Known are releases that tell how else the digest of an app is written; the log tells it too.
	Known []*release.Release
}

// Empty tells that nothing is asked.
func (w Wanted) Empty() bool {
	return w.Release == 0 && w.Key == "" && len(w.Firmware) == 0 && w.MAC.IsZero() && w.Any == nil
}

// Affected is one device and why it is among them.
type Affected struct {
	MAC      chip.MAC `json:"mac"`
	Serial   string   `json:"serial,omitempty"`
	Product  string   `json:"product"`
	Batch    string   `json:"batch,omitempty"`
	Sealed   bool     `json:"sealed"`
	Release  int64    `json:"release,omitempty"`       // that it runs; absent: what the line wrote
	Version  string   `json:"version,omitempty"`       // of that
	Secure   *uint32  `json:"secureVersion,omitempty"` // of that; absent where nothing tells it
	State    string   `json:"state"`                   // runs, ran or offered: what is asked for; else has
	Of       []int64  `json:"of,omitempty"`            // which of the releases asked for
	Evidence []uint64 `json:"evidence"`                // entries of the ledger that say so
}

// FindAffected lists the devices, by MAC. It reads the whole log once.
func FindAffected(book *ledger.Ledger, w Wanted) ([]Affected, error) {
	said, err := w.read(book)
	if err != nil {
		return nil, err
	}
	w.Firmware = said.names(w.Firmware...)
	apps := map[int64][]string{}
	for _, r := range w.Any {
		apps[r.ID] = said.names(append([]string{r.App, r.AppFilled}, said.inputs[r.ID]...)...)
	}
	var list []Affected
	for d, err := range book.Devices() {
		if err != nil {
			return nil, LedgerFailure(err)
		}
		if a, is := w.judge(d, said.pasts[d.MAC], apps); is {
			list = append(list, a)
		}
	}
	return list, nil
}

// judge tells whether a device is among the wanted, and why. apps are the digests of the
// apps of releases.
func (w Wanted) judge(d record.Device, p *past, apps map[int64][]string) (Affected, bool) {
	if p == nil {
		p = &past{}
	}
	a := Affected{MAC: d.MAC, Serial: d.Serial, Product: d.Job, Batch: d.Batch, Sealed: d.Sealed, Release: p.runs.Release, Version: p.runs.Version, State: "has", Evidence: []uint64{d.Last}}
	if p.runs.Release == 0 {
		made := release.Of(d)
		a.Version = made.Version
		if len(made.Unsure) == 0 {
			a.Secure = &made.SecureVersion
		}
	} else if p.runs.App != "" || p.runs.SecureVersion > 0 {
		a.Secure = &p.runs.SecureVersion
	}
	if !w.MAC.IsZero() && w.MAC != d.MAC {
		return a, false
	}
	if w.Key != "" {
		if !slices.ContainsFunc(d.Keys, w.isKey) {
			return a, false
		}
		a.Evidence = []uint64{p.keyed}
	}
	return a, w.released(&a, p) && w.holds(&a, d, p) && (w.Any == nil || w.any(&a, d, p, apps))
}

// isKey tells whether a key is the wanted one. The digest of a public key that
// devices trust may be written as other digests are.
func (w Wanted) isKey(k record.Key) bool {
	return k.ID == w.Key || slices.Contains(strings.Split(k.ID, ":"), strings.TrimPrefix(w.Key, "sha256:"))
}

// states of a device, the worst first.
var states = []string{"runs", "has", "ran", "offered"}

// any tells whether the device has to do with one of the releases.
func (w Wanted) any(a *Affected, d record.Device, p *past, apps map[int64][]string) bool {
	found := *a
	found.State = ""
	for _, r := range w.Any {
		one := *a
		if !(Wanted{Release: r.ID}).released(&one, p) && (len(apps[r.ID]) == 0 || !(Wanted{Firmware: apps[r.ID]}).holds(&one, d, p)) {
			continue
		}
		found.Of = append(found.Of, r.ID)
		if found.State == "" || slices.Index(states, one.State) < slices.Index(states, found.State) {
			found.State, found.Evidence = one.State, one.Evidence
		}
	}
	if found.Of != nil {
		*a = found
	}
	return found.Of != nil
}

// released tells whether the device has to do with the release.
func (w Wanted) released(a *Affected, p *past) bool {
	if w.Release == 0 {
		return true
	}
	index, took := p.results[w.Release]
	offer, offered := p.offers[w.Release]
	switch {
	case took && p.runs.Release == w.Release:
		a.State, a.Evidence = "runs", []uint64{index}
	case took:
		a.State, a.Evidence = "ran", []uint64{index, p.results[p.runs.Release]}
	case offered:
		a.State, a.Evidence = "offered", []uint64{offer}
	}
	return took || offered
}

// holds tells whether the device has the firmware, or had it.
func (w Wanted) holds(a *Affected, d record.Device, p *past) bool {
	if len(w.Firmware) == 0 {
		return true
	}
	if slices.Contains(w.Firmware, p.runs.App) {
		a.State, a.Evidence = "runs", []uint64{p.results[p.runs.Release]}
		return true
	}
	for _, i := range d.Images {
		if slices.ContainsFunc(w.Firmware, i.Is) {
			a.State, a.Evidence = "has", []uint64{d.Flashed}
			if p.runs.Release != 0 && i.Slot != "" {
				a.State, a.Evidence = "ran", []uint64{d.Flashed, p.results[p.runs.Release]}
			}
			return true
		}
	}
	return false
}
