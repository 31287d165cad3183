package replica

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// clocked is a set with one bench, whose clock jumps as it likes.
func clocked(t *testing.T, blocks int) (*Set, []record.Entry) {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Now().Add(time.Hour) // behind the first entry
	path := filepath.Join(t.TempDir(), "ledger.db")
	book, err := ledger.Open(path, ledger.Options{Create: true, Simulated: true, Now: func() time.Time {
		now = now.Add(time.Duration(random.IntN(20_000)) * time.Millisecond)
		if random.IntN(100) == 0 {
			now = now.Add(time.Duration(random.IntN(20)-10) * time.Minute)
		}
		return now
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	var list []record.Entry
	for n := range blocks*int(timesBlock) + 20 {
		list = append(list, record.Entry{Kind: record.DeviceSeen, MAC: chip.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)}, Simulated: true})
	}
	if _, err := book.AppendAll(list); err != nil {
		t.Fatal(err)
	}
	set, err := New(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(set.Close)
	r, err := set.Fill("bench-1")
	if err != nil {
		t.Fatal(err)
	}
	var lines [][]byte
	var all []record.Entry
	for raw, err := range book.Lines(0) {
		if err != nil {
			t.Fatal(err)
		}
		e, err := record.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		lines, all = append(lines, raw), append(all, e)
	}
	for some := range slices.Chunk(lines, 999) {
		if err := r.Add(some); err != nil {
			t.Fatal(err)
		}
	}
	return set, all
}

// What Within tells holds every entry of a time, whatever the clock did, and little
// more; a file of times that is old, foreign or absent changes nothing.
func TestWithin(t *testing.T) {
	defer func(n uint64) { timesBlock = n }(timesBlock)
	timesBlock = 32
	set, all := clocked(t, 70)
	dir := set.of("bench-1").dir
	check := func(s *Set) {
		t.Helper()
		last := all[len(all)-1].Time
		for n := range 60 {
			from := all[0].Time.Add(time.Duration(n-5) * last.Sub(all[0].Time) / 50)
			to := from.Add(7 * time.Minute)
			first, end := s.Within("bench-1", from, to)
			held := 0
			for i, e := range all {
				if in := !e.Time.Before(from) && e.Time.Before(to); in && (uint64(i) < first || uint64(i) >= end) {
					t.Fatalf("entry %d of %v is not in [%d, %d), which is %v to %v", i, e.Time, first, end, from, to)
				} else if in {
					held++
				}
			}
			if n > 5 && n < 50 && end-first > uint64(held)+8*timesBlock {
				t.Errorf("%v: [%d, %d) for %d entries", from, first, end, held)
			}
		}
		if first, end := s.Within("bench-1", time.Time{}, time.Time{}); first != 0 || end != uint64(len(all)) {
			t.Errorf("all is [%d, %d)", first, end)
		}
	}
	check(set)
	data, err := os.ReadFile(filepath.Join(dir, timesFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range [][]byte{data, nil, []byte("{"), []byte(`{"origin":"x","newest":[1],"oldest":[1]}`)} {
		if err := os.WriteFile(filepath.Join(dir, timesFile), file, 0o640); err != nil {
			t.Fatal(err)
		}
		again, err := Open(filepath.Dir(dir))
		if err != nil {
			t.Fatal(err)
		}
		check(again)
		again.Close()
	}
	from := all[len(all)-600].Time
	got := 0
	for e, err := range set.Since("bench-1", from) {
		if err != nil || e.Time.Before(from) {
			t.Fatal(e.Time, err)
		}
		got++
	}
	want := 0
	for _, e := range all {
		if !e.Time.Before(from) {
			want++
		}
	}
	if got != want || want < 300 {
		t.Errorf("since %v: %d entries of %d", from, got, want)
	}
}
