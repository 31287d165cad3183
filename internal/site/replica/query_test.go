package replica

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// has gives the set one more bench with these entries, later than those of the others.
func (s *Set) has(t *testing.T, bench string, list ...record.Entry) {
	t.Helper()
	now := time.Date(2026, 11, 20, 8, len(s.Benches()), 0, 0, time.UTC)
	book, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true, Simulated: true, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	if _, err := book.AppendAll(list); err != nil {
		t.Fatal(err)
	}
	r, err := s.Fill(bench)
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	for raw, err := range book.Lines(0) {
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, raw)
	}
	if err := r.Add(lines); err != nil {
		t.Fatal(err)
	}
}

// A device is found at whichever bench has it, by MAC and by its names, with all benches
// that know it: however many processors share the benches.
func TestDeviceOfEveryBench(t *testing.T) {
	set, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	const benches = 5
	everywhere := chip.MAC{2, 0, 0, 0, 1, 0}
	own := func(i int) chip.MAC { return chip.MAC{2, 0, 0, 0, 0, byte(i)} }
	serial := func(i int) string { return fmt.Sprint("SN-", i) }
	bench := func(i int) string { return fmt.Sprint("bench-", i) }
	for i := range benches {
		set.has(t, bench(i), record.Entry{Kind: record.DeviceSeen, MAC: everywhere, Simulated: true},
			record.Entry{Kind: record.SerialBound, MAC: own(i), Serial: serial(i), Simulated: true})
	}
	for i := range benches {
		for _, name := range []string{own(i).String(), serial(i)} {
			if found, err := set.Find(name); err != nil || len(found) != 1 || found[0].Bench != bench(i) || found[0].Device.Serial != serial(i) {
				t.Errorf("%s of %s: found %+v, %v", name, bench(i), found, err)
			}
		}
	}
	found, err := set.Device(everywhere)
	if err != nil || len(found) != benches {
		t.Fatalf("at every bench: found %+v, %v", found, err)
	}
	for i, f := range found {
		if f.Bench != bench(benches-1-i) { // who saw it last is first
			t.Errorf("place %d is %s", i, f.Bench)
		}
	}
	if found, err := set.Find("SN-none"); err != nil || len(found) > 0 {
		t.Errorf("nowhere: found %+v, %v", found, err)
	}
}
