package station

import (
	"path/filepath"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// shiftLedger has visits of two jobs over two days; the clock of the entries is the
// test's.
func shiftLedger(t *testing.T, visits ...record.Entry) *ledger.Ledger {
	t.Helper()
	now := visits[0].Time
	l, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Station: "test", Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for i, v := range visits {
		now = v.Time
		v.Run, v.Slot, v.Verdict = string(rune('a'+i)), "1", record.Retry
		seen, ended := v, v
		seen.Kind, ended.Kind, ended.Code = record.DeviceSeen, record.Failed, "E-BOOT-MARKER"
		if _, err := l.AppendAll([]record.Entry{seen, ended}); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// The counters of a shift are those of its job since it began; the history of a device
// goes over all its days.
func TestShift(t *testing.T) {
	noon := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	first, second := chip.MAC{0x24, 0x0a, 0xc4, 0, 0, 1}, chip.MAC{0x24, 0x0a, 0xc4, 0, 0, 2}
	l := shiftLedger(t,
		record.Entry{Time: noon.Add(-24 * time.Hour), MAC: first, Job: "lamp"},
		record.Entry{Time: noon.Add(-8 * time.Hour), MAC: second, Job: "lamp"},
		record.Entry{Time: noon.Add(-time.Hour), MAC: first, Job: "lamp"},
		record.Entry{Time: noon.Add(-time.Minute), MAC: second, Job: "bell"})
	shifts := LineFile{Shifts: []string{"22:00", "06:00", "14:00"}}
	for _, c := range []struct {
		began time.Time
		job   string
		want  int
	}{
		{shifts.ShiftBegan(noon), "lamp", 1}, {shifts.ShiftBegan(noon), "bell", 1},
		{LineFile{}.ShiftBegan(noon), "lamp", 2}, {noon.AddDate(0, 0, -7), "lamp", 3},
	} {
		day, err := Day(l, c.began, c.job)
		if err != nil || day.Counts.Retry != c.want {
			t.Errorf("%s since %v: got %+v, %v, want %d", c.job, c.began, day.Counts, err, c.want)
		}
	}
	for query, want := range map[string]int{"": 3, "00:01": 1, first.String(): 2, " " + second.String() + " ": 2} {
		if list, err := Visits(l, noon, query); err != nil || len(list) != want {
			t.Errorf("visits of %q: got %v, %v, want %d", query, list, err, want)
		}
	}
}

func TestShiftBegan(t *testing.T) {
	shifts := LineFile{Shifts: []string{"06:00", "14:00", "22:00"}}
	for now, want := range map[string]string{"05:59": "19T22:00", "06:00": "20T06:00", "13:59": "20T06:00", "23:30": "20T22:00", "00:10": "19T22:00"} {
		at, err := time.Parse("2006-01-02T15:04", "2026-11-20T"+now)
		if err != nil {
			t.Fatal(err)
		}
		if got := shifts.ShiftBegan(at).Format("02T15:04"); got != want {
			t.Errorf("at %s: got %s, want %s", now, got, want)
		}
	}
}
