package report

import (
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/record"
)

func TestFilters(t *testing.T) {
	x := recorded(t, false)
	macs := func(n ...int) (list []string) {
		for _, n := range n {
			list = append(list, mac(n).String())
		}
		slices.Sort(list)
		return list
	}
	keys, err := ParseKeys("derived:station-master")
	if err != nil {
		t.Fatal(err)
	}
	some, err := ParseKeys(keyID(2) + ".." + keyID(4))
	if err != nil {
		t.Fatal(err)
	}
	one, err := ParseMACs(strings.ToUpper(mac(3).String()))
	if err != nil {
		t.Fatal(err)
	}
	var day Filter
	if err := day.SetTimes("2026-11-21", "2026-11-21", time.UTC); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    Filter
		want []string
	}{
		{Filter{Batch: "b1"}, macs(1, 2, 3, 4, 5)},
		{Filter{Job: "lamp"}, macs(1, 2, 3, 4, 5, 6, 7, 8)},
		{Filter{Job: "other"}, nil},
		{Filter{Verdict: record.Pass}, macs(1, 2, 7)},
		{Filter{Verdict: record.Begun}, macs(6)},
		{Filter{MAC: one}, macs(3)},
		{Filter{Key: keys}, macs(1, 2, 3, 4, 7, 8)},
		{Filter{Key: some}, macs(2, 3, 4)},
		{day, macs(7, 8)},
		{Filter{To: begin.Add(30 * time.Second)}, macs(1, 2)},
		// Device 2 has been there before and after, not between.
		{Filter{From: begin.Add(45 * time.Second), To: begin.Add(50 * time.Second)}, macs(3)},
		{Filter{Batch: "b1", Verdict: record.Pass}, macs(1, 2)},
	} {
		file, _ := export(t, Export{Table: table(t, "devices"), Format: CSV, Filter: c.f}, headOf(t, x.l))
		var got []string
		for _, r := range records(t, file) {
			got = append(got, r["mac"])
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, want %v", c.f, got, c.want)
		}
	}
	// Of entries, the time and the verdict are their own.
	file, _ := export(t, Export{Table: table(t, "entries"), Format: CSV, Filter: Filter{From: day.From, Verdict: record.Retry}}, headOf(t, x.l))
	if rows := records(t, file); len(rows) != 1 || rows[0]["mac"] != mac(8).String() {
		t.Errorf("got %v", rows)
	}
}

func TestRangesThatAreNone(t *testing.T) {
	for _, s := range []string{"", "24:0a", "24:0a:c4:00:00:02..24:0a:c4:00:00:01", "x..y"} {
		if _, err := ParseMACs(s); err == nil {
			t.Errorf("MACs %q: no error", s)
		}
	}
	for _, s := range []string{"", "nokey", keyID(2) + ".." + keyID(1)} {
		if _, err := ParseKeys(s); err == nil {
			t.Errorf("keys %q: no error", s)
		}
	}
	var f Filter
	for _, s := range [][2]string{{"yesterday", ""}, {"", "2026-13-01"}, {"2026-11-21", "2026-11-20"}} {
		if err := f.SetTimes(s[0], s[1], time.UTC); err == nil {
			t.Errorf("times %v: no error", s)
		}
	}
}

// A day with a change of the clock is as long as it is.
func TestADayIsNotAlwaysTwentyFourHours(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var f Filter
	if err := f.SetTimes("2026-10-25", "2026-10-25", berlin); err != nil || f.To.Sub(f.From) != 25*time.Hour {
		t.Errorf("got %v, %v", f.To.Sub(f.From), err)
	}
}
