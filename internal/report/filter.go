package report

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// Filter says which entries and devices are wanted. The zero value wants all.
type Filter struct {
	From    time.Time      `json:"from,omitzero"` // From <= time < To
	To      time.Time      `json:"to,omitzero"`
	Batch   string         `json:"batch,omitempty"`
	Job     string         `json:"job,omitempty"` // name of the product
	Verdict record.Verdict `json:"verdict,omitempty"`
	MAC     Range          `json:"mac,omitzero"`
	Key     Range          `json:"key,omitzero"` // key IDs
	// Simulated wants virtual chips of a real ledger too. Their rows are marked.
	Simulated bool `json:"simulated,omitempty"`
}

// Range is a closed range of texts; the zero value is all of them.
type Range struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// IsZero tells whether the range is everything.
func (r Range) IsZero() bool { return r == Range{} }

// has asks for the text only where that matters.
func (r Range) has(text func() string) bool {
	if r.IsZero() {
		return true
	}
	s := text()
	return r.From <= s && s <= r.To
}

func (r Range) String() string {
	if r.From == r.To {
		return r.From
	}
	return r.From + ".." + r.To
}

// ParseMACs reads one MAC or two with ".." between them.
func ParseMACs(s string) (Range, error) {
	return parseRange(s, func(s string) (string, string, error) {
		mac, err := chip.ParseMAC(s)
		return mac.String(), mac.String(), err
	})
}

var wholeKeyID = regexp.MustCompile(`^[a-z]+:.*:[0-9a-f]{16}$`)

// ParseKeys reads one key ID or two with ".." between them. Policy and token
// object alone, as in derived:station-master, stand for all of its keys.
func ParseKeys(s string) (Range, error) {
	return parseRange(s, func(s string) (string, string, error) {
		switch {
		case wholeKeyID.MatchString(s):
			return s, s, nil
		case strings.Contains(s, ":"):
			return s + ":", s + ":~", nil // ~ comes after every digit of a check value
		}
		return "", "", fmt.Errorf("key ID %q: want policy:label:check, or policy:label", s)
	})
}

func parseRange(s string, ends func(string) (first, last string, err error)) (Range, error) {
	from, to, two := strings.Cut(s, "..")
	if !two {
		to = from
	}
	first, _, err := ends(from)
	if err != nil {
		return Range{}, err
	}
	_, last, err := ends(to)
	if err == nil && first > last {
		err = fmt.Errorf("range %s: its end comes before its begin", s)
	}
	if err != nil {
		return Range{}, err
	}
	return Range{first, last}, nil
}

// ParseTime reads a date, a date with a time of day, or RFC 3339. Without a
// zone it is local time. span is how long a time of that form lasts: a day or a
// minute, so that a range can include its last day.
func ParseTime(s string, local *time.Location) (t time.Time, span time.Duration, err error) {
	for _, form := range []struct {
		layout string
		span   time.Duration
	}{{"2006-01-02", 24 * time.Hour}, {"2006-01-02T15:04", time.Minute}, {"2006-01-02 15:04", time.Minute}, {time.RFC3339, 0}} {
		if t, err = time.ParseInLocation(form.layout, s, local); err == nil {
			return t, form.span, nil
		}
	}
	return t, 0, fmt.Errorf("time %q: write it as 2026-11-20, 2026-11-20T15:04 or RFC 3339", s)
}

// SetTimes sets the range from what a person writes; either may be empty. A
// last day is included.
func (f *Filter) SetTimes(from, to string, local *time.Location) error {
	var err error
	if from != "" {
		if f.From, _, err = ParseTime(from, local); err != nil {
			return err
		}
	}
	if to != "" {
		t, span, err := ParseTime(to, local)
		if err != nil {
			return err
		}
		if f.To = t.Add(span); span == 24*time.Hour {
			f.To = t.AddDate(0, 0, 1) // a day is not always 24 hours long
		}
	}
	if !f.From.IsZero() && !f.To.IsZero() && !f.From.Before(f.To) {
		return fmt.Errorf("range %s to %s: its end comes before its begin", from, to)
	}
	return nil
}

// String reads "batch 2026-47, from 2026-11-20T00:00:00Z", or "everything".
func (f Filter) String() string {
	var parts []string
	add := func(name, value string) {
		if value != "" {
			parts = append(parts, name+" "+value)
		}
	}
	add("batch", f.Batch)
	add("job", f.Job)
	add("verdict", string(f.Verdict))
	if !f.MAC.IsZero() {
		add("MAC", f.MAC.String())
	}
	if !f.Key.IsZero() {
		add("key", f.Key.String())
	}
	if !f.From.IsZero() {
		add("from", f.From.UTC().Format(time.RFC3339))
	}
	if !f.To.IsZero() {
		add("to", f.To.UTC().Format(time.RFC3339))
	}
	if f.Simulated {
		parts = append(parts, "virtual chips too")
	}
	return cmp.Or(strings.Join(parts, ", "), "everything")
}

// of is the filter for a ledger: in one of rehearsals all is simulated.
func (f Filter) of(l *ledger.Ledger) Filter {
	f.Simulated = f.Simulated || l.Simulated()
	return f
}

func (f Filter) in(t time.Time) bool {
	return !t.Before(f.From) && (f.To.IsZero() || t.Before(f.To))
}

// entryIn tells whether the time of an entry is wanted, to the millisecond, as
// exports tell it.
func (f Filter) entryIn(e *record.Entry) bool { return f.in(e.Time.Truncate(time.Millisecond)) }

func (f Filter) oneIn(entries []record.Entry) bool {
	for i := range entries {
		if f.entryIn(&entries[i]) {
			return true
		}
	}
	return false
}

// wants tells whether something is wanted, whatever its time.
func (f Filter) wants(simulated bool, batch, job string, verdict record.Verdict) bool {
	return (f.Simulated || !simulated) && (f.Batch == "" || batch == f.Batch) && (f.Job == "" || job == f.Job) &&
		(f.Verdict == "" || verdict == f.Verdict)
}

func (f Filter) wantsEntry(e *record.Entry) bool {
	return f.wants(e.Simulated, e.Batch, e.Job, e.Verdict) && f.entryIn(e) &&
		f.MAC.has(func() string { return string(appendMAC(nil, e.MAC)) }) && f.Key.has(func() string { return keyIDs(e.Keys) })
}

// wantsDevice tells whether a device of that verdict with these entries is wanted: one
// of them lies in the time.
func (f Filter) wantsDevice(d *record.Device, verdict record.Verdict, entries []record.Entry) bool {
	return f.wants(d.Simulated, d.Batch, d.Job, verdict) && f.oneIn(entries) &&
		f.MAC.has(d.MAC.String) && f.Key.has(func() string { return keyIDs(d.Keys) })
}
