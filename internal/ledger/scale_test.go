package ledger

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

var (
	devices = flag.Int("devices", 2000, "how many devices the ledger of BenchmarkScale has")
	keep    = flag.String("keep", "", "file of BenchmarkScale's ledger, built if it is absent and kept; BenchmarkScale appends to it")
)

// BenchmarkScale builds a ledger of -devices devices, twelve entries each, and
// measures what QA and the line do with it:
//
//	go test ./internal/ledger -run '^$' -bench Scale -devices 1000000
//
// With -keep the ledger stays, for the commands to be measured on it too.
func BenchmarkScale(b *testing.B) {
	path := cmp.Or(*keep, filepath.Join(b.TempDir(), "ledger.db"))
	_, err := os.Stat(path)
	l := reopenFor(b, path)
	defer func() { l.Close() }()
	begun := time.Now()
	// A transaction for each entry, as the line writes them, but not each on disk.
	l.w.db.NoSync, l.w.db.NoGrowSync = true, true
	for n := range *devices {
		if err == nil {
			break // it was kept
		}
		for _, e := range run(n) {
			if _, err := l.Append(e); err != nil {
				b.Fatal(err)
			}
		}
		if n := n + 1; n == 100 || n == 1000 || n%(*devices/4) == 0 {
			fmt.Printf("%8d devices: %d bytes each\n", n, snapshotOf(b, path).Size()/int64(n))
		}
	}
	built := time.Since(begun)
	l.Close()
	l = reopenFor(b, path)
	s, err := l.read.newest()
	if err != nil {
		b.Fatal(err)
	}
	size, _, _ := l.Head()
	fmt.Printf("%d devices, %d entries: built in %v, %d bytes a device\n", *devices, size, built.Round(time.Millisecond), s.Size()/int64(*devices))

	b.Run("open", func(b *testing.B) {
		l.Close()
		for b.Loop() {
			l := reopenFor(b, path)
			l.Close()
		}
		l = reopenFor(b, path)
	})
	b.Run("device by MAC", func(b *testing.B) {
		for b.Loop() {
			if _, found, err := l.Device(mac(rand.IntN(*devices))); !found || err != nil {
				b.Fatal(found, err)
			}
		}
	})
	b.Run("owner of a key", func(b *testing.B) {
		for b.Loop() {
			if _, bound, err := l.KeyOwner(key(rand.IntN(*devices))); !bound || err != nil {
				b.Fatal(bound, err)
			}
		}
	})
	b.Run("history", func(b *testing.B) {
		for b.Loop() {
			if list, err := l.History(mac(rand.IntN(*devices))); len(list) != 12 || err != nil {
				b.Fatal(len(list), err)
			}
		}
	})
	b.Run("append", func(b *testing.B) { benchmarkAppend(b, l) })
	b.Run("check", func(b *testing.B) {
		for b.Loop() {
			begun := time.Now()
			var a Audit
			for fault := range l.Check(&a) {
				b.Fatal(fault)
			}
			b.ReportMetric(float64(a.Size)/time.Since(begun).Seconds(), "entries/s")
		}
	})
	b.Run("entries", func(b *testing.B) {
		benchmarkRows(b, func() (n int) {
			for range l.Entries(0) {
				n++
			}
			return n
		})
	})
	b.Run("devices", func(b *testing.B) {
		benchmarkRows(b, func() (n int) {
			for range l.Devices() {
				n++
			}
			return n
		})
	})
	b.Run("backup", func(b *testing.B) {
		b.SetBytes(s.Size())
		for b.Loop() {
			if err := l.Backup(io.Discard); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func reopenFor(b *testing.B, path string) *Ledger {
	b.Helper()
	l, err := Open(path, bench)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

func benchmarkRows(b *testing.B, rows func() int) {
	for b.Loop() {
		begun := time.Now()
		n := rows()
		b.ReportMetric(float64(n)/time.Since(begun).Seconds(), "rows/s")
	}
}

// benchmarkAppend takes turns with bbolt alone, which puts the same bytes under
// the same keys into a file of as many entries.
func benchmarkAppend(b *testing.B, l *Ledger) {
	bare, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, &bbolt.Options{PageSize: pageSize})
	if err != nil {
		b.Fatal(err)
	}
	defer bare.Close()
	defer os.Remove(bare.Path())
	size, _, _ := l.Head()
	n := uint64(0)
	put := func(count int, raw []byte) {
		err := bare.Update(func(tx *bbolt.Tx) error {
			e, err := tx.CreateBucketIfNotExists([]byte("entries"))
			if err != nil {
				return err
			}
			e.FillPercent = 1
			for ; count > 0 && err == nil; count-- {
				err = e.Put([]byte(number(n)), raw)
				n++
			}
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	like, _, err := encode(run(1)[8])
	if err != nil {
		b.Fatal(err)
	}
	for n < size {
		put(20_000, like)
	}
	list := run(rand.IntN(1 << 30))
	var ours, theirs []time.Duration
	for b.Loop() {
		if len(list) == 0 {
			list = run(rand.IntN(1 << 30))
		}
		begun := time.Now()
		e, err := l.Append(list[0])
		ours = append(ours, time.Since(begun))
		if err != nil {
			b.Fatal(err)
		}
		list = list[1:]
		raw, _, err := encode(e)
		if err != nil {
			b.Fatal(err)
		}
		begun = time.Now()
		put(1, raw)
		theirs = append(theirs, time.Since(begun))
	}
	slices.Sort(ours)
	slices.Sort(theirs)
	mine, bolt := ours[len(ours)/2], theirs[len(theirs)/2]
	b.ReportMetric(float64(mine.Microseconds()), "µs/append")
	b.ReportMetric(float64(bolt.Microseconds()), "µs/bare-commit")
	b.ReportMetric(float64(mine)/float64(bolt), "ratio")
}
