package station

import (
	"slices"
	"strings"
	"time"

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
	Slot     string   `json:"slot,omitempty"`          // where an app stands: running, other, or by its name where the line wrote it
	Certain  bool     `json:"certain"`                 // it surely stands there still; an update may have been written over it, or never have come
	Of       []int64  `json:"of,omitempty"`            // which of the releases asked for
	Evidence []uint64 `json:"evidence"`                // entries of the ledger that say so
	// Revoked is since when it is let in nowhere, and gets no update.
	Revoked time.Time `json:"revoked,omitzero"`
	// Where is the bench in whose ledger each of Evidence is, and Bench the one whose device
	// it is; "" of one ledger alone.
	Where []string `json:"-"`
	Bench string   `json:"-"`
}

// Book is the ledger of a bench; of one that is asked alone the bench is "".
type Book struct {
	Bench  string
	Ledger *ledger.Ledger
}

// FindAffected lists the devices of all books, each once, by MAC: what is newest of a
// device counts, whichever of them says it. It reads each log once. A release or a
// key that there is none of is an UnknownError: nobody being affected is something else.
func FindAffected(w Wanted, books ...Book) ([]Affected, error) {
	said, err := w.read(books)
	if err != nil {
		return nil, err
	}
	if err := said.knows(w); err != nil {
		return nil, err
	}
	w.Firmware = said.names(w.Firmware...)
	apps := map[int64][]string{}
	for _, r := range w.Any {
		apps[r.ID] = said.names(append([]string{r.App, r.AppFilled}, said.inputs[r.ID]...)...)
	}
	var list []Affected
	for d, err := range allDevices(books) {
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
func (w Wanted) judge(d device, p *past, apps map[int64][]string) (Affected, bool) {
	if p == nil {
		p = &past{}
	}
	a := Affected{MAC: d.MAC, Serial: d.Serial, Product: d.Job, Batch: d.Batch, Sealed: d.Sealed, Release: p.runs.Release, Version: p.runs.Version, Revoked: d.revoked.UTC(), Bench: d.bench}
	a.take(standing{"has", "", true, []place{{d.bench, d.Last}}})
	if p.runs.Release == 0 {
		made := release.Of(d.Device)
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
		a.prove(p.keyed)
	}
	return a, w.released(&a, p) && w.holds(&a, d, p) && (w.Any == nil || w.any(&a, d, p, apps))
}

// isKey tells whether a key is the wanted one. The digest of a public key that
// devices trust may be written as other digests are, and hexadecimal digits in either case.
func (w Wanted) isKey(k record.Key) bool {
	wanted := strings.TrimPrefix(w.Key, "sha256:")
	return sameName(k.ID, w.Key) || slices.ContainsFunc(strings.Split(k.ID, ":"), func(part string) bool { return sameName(part, wanted) })
}

// sameName compares parts of key IDs: hexadecimal digits in either case, all else as it is.
func sameName(a, b string) bool {
	return slices.EqualFunc(strings.Split(a, ":"), strings.Split(b, ":"), func(a, b string) bool {
		return a == b || len(a) >= shortestCheck && isHex(a) && strings.EqualFold(a, b)
	})
}

// shortestCheck is how many digits a check value or a digest has at least: what is shorter is
// a label, in which case counts.
const shortestCheck = 16

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdefABCDEF") == "" }

// any tells whether the device has to do with one of the releases.
func (w Wanted) any(a *Affected, d device, p *past, apps map[int64][]string) bool {
	var found *Affected
	for _, r := range w.Any {
		one := *a
		if !(Wanted{Release: r.ID}).released(&one, p) && (len(apps[r.ID]) == 0 || !(Wanted{Firmware: apps[r.ID]}).holds(&one, d, p)) {
			continue
		}
		if one.Of = []int64{r.ID}; found != nil {
			one.Of = append(found.Of, r.ID)
			if !one.standing().worse(found.standing()) {
				found.Of = one.Of
				continue
			}
		}
		found = &one
	}
	if found != nil {
		*a = *found
	}
	return found != nil
}

// released tells whether the device has to do with the release.
func (w Wanted) released(a *Affected, p *past) bool {
	if w.Release == 0 {
		return true
	}
	f, is := p.find(func(release int64, _ word) bool { return release == w.Release })
	if is {
		a.take(f)
	}
	return is
}

// holds tells whether the device has the firmware, or had it.
func (w Wanted) holds(a *Affected, d device, p *past) bool {
	if len(w.Firmware) == 0 {
		return true
	}
	later, is := p.find(func(_ int64, t word) bool { return slices.Contains(w.Firmware, t.app) })
	made, had := w.made(d, p)
	switch {
	case is && (!had || later.worse(made)):
		a.take(later)
	case had:
		a.take(made)
	}
	return is || had
}
