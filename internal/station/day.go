package station

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strings"
	"time"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/efuse"
	"station/internal/ledger"
	"station/internal/record"
)

// midnight is when now's day began.
func midnight(now time.Time) time.Time {
	y, m, d := now.Date()
	return time.Date(y, m, d, 0, 0, 0, 0, now.Location())
}

// firstSince is the index of the first entry of a time. Entries are in the order
// of their times, but for a clock that ran backwards, which the ledger notes.
func firstSince(l *ledger.Ledger, begin time.Time) (uint64, error) {
	size, _, err := l.Head()
	if err != nil {
		return 0, err
	}
	var failed error
	first := sort.Search(int(size), func(i int) bool {
		e, err := l.Entry(uint64(i))
		if err != nil {
			failed = err
		}
		return err != nil || !e.Time.Before(begin)
	})
	return uint64(first), failed
}

// Day is what the ledger tells of a job's shift since it began, so that the
// screen's counters survive a restart.
func Day(l *ledger.Ledger, begin time.Time, job string) (board.Day, error) {
	day := board.Day{Simulated: l.Simulated()}
	first, err := firstSince(l, begin)
	if err != nil {
		return day, err
	}
	for e, err := range l.Entries(first) {
		if err != nil {
			return day, err
		}
		if e.Job == "" || e.Job == job {
			day.Record(e)
		}
	}
	return day, nil
}

// Visits are the visits of now's day whose MAC or serial number holds the query,
// the newest first. A whole MAC or serial number, an ID too, is a device, of which all
// visits are told, whatever their day.
func Visits(l *ledger.Ledger, now time.Time, query string) ([]record.Visit, error) {
	if mac, known, err := l.Named(strings.TrimSpace(query)); known || err != nil {
		return visitsOf(l, mac, err)
	}
	first, err := firstSince(l, midnight(now))
	if err != nil {
		return nil, err
	}
	var visits []record.Visit
	var folded record.Visits
	serials := map[chip.MAC]string{}
	for e, err := range l.Entries(first) {
		if err != nil {
			return nil, err
		}
		if e.Serial != "" {
			serials[e.MAC] = e.Serial
		}
		for _, v := range folded.Add(&e) {
			if v.Virtual = v.Virtual && !l.Simulated(); v.Verdict != record.Begun {
				visits = append(visits, *v)
			}
		}
	}
	query = strings.ToLower(query)
	kept := visits[:0]
	for _, v := range visits {
		if v.Serial = serials[v.MAC]; strings.Contains(v.MAC.String(), query) || strings.Contains(strings.ToLower(v.Serial), query) {
			kept = append(kept, v)
		}
	}
	slices.Reverse(kept)
	return kept, nil
}

// visitsOf are all visits of a device, the newest first.
func visitsOf(l *ledger.Ledger, mac chip.MAC, err error) (visits []record.Visit, _ error) {
	if err != nil {
		return nil, err
	}
	entries, err := l.History(mac)
	if err != nil {
		return nil, err
	}
	var folded record.Visits
	serial := ""
	for _, e := range entries {
		serial = cmp.Or(e.Serial, serial)
		for _, v := range folded.Add(&e) {
			if v.Virtual = v.Virtual && !l.Simulated(); v.Verdict != record.Begun {
				visits = append(visits, *v)
			}
		}
	}
	for i := range visits {
		visits[i].Serial = serial
	}
	slices.Reverse(visits)
	return visits, nil
}

// Detail is a device's entries in plain lines, and its fuses as first seen and
// as read last.
func Detail(l *ledger.Ledger, mac chip.MAC) (d board.Detail, err error) {
	entries, err := l.History(mac)
	if err != nil {
		return d, err
	}
	var first, last record.Fuses
	var family *chip.Family
	for _, e := range entries {
		d.Entries = append(d.Entries, describe(e))
		if e.Identity != nil {
			if family, err = chip.Recorded(e.Identity.Chip); err != nil {
				return d, err
			}
		}
		if e.Fuses != nil {
			if first == nil {
				first = e.Fuses
			}
			last = e.Fuses
		}
	}
	if first == nil {
		return d, nil
	}
	for _, now := range last {
		d.Fuses = append(d.Fuses, changes(family, first.Block(now.Name), now)...)
	}
	return d, nil
}

// changes are the rows of one block: a row for each field that is or was set, or
// one for its state or digest.
func changes(family *chip.Family, was, now record.Block) []record.FuseChange {
	if rows := efuse.Named(family, was, now); rows != nil {
		return rows
	}
	return []record.FuseChange{{Field: now.Name, Old: was.String(), New: now.String()}}
}

func describe(e record.Entry) string {
	parts := []string{e.Time.Local().Format("2006-01-02 15:04:05"), string(e.Kind)}
	for _, s := range []string{e.Step, e.Stage, e.Decision, string(e.Verdict), string(e.Code), e.KeyIDs(), e.Message} {
		if s != "" {
			parts = append(parts, s)
		}
	}
	for _, c := range e.Burns {
		parts = append(parts, fmt.Sprintf("%s %s→%s", c.Field, c.Old, c.New))
	}
	return strings.Join(parts, "  ")
}
