package report

import (
	"cmp"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"syscall"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site/replica"
)

var (
	siteDevices = flag.Int("site-devices", 20_000, "how many devices the site of BenchmarkSite has, at twenty benches")
	siteKeep    = flag.String("site-keep", "", "folder of BenchmarkSite's ledgers, made if it is absent and kept")
	siteScatter = flag.Bool("site-scatter", false, "devices of BenchmarkSite come in no order of their MACs; else as chips lie on reels")
)

const siteBenches, siteDay = 20, 500 // benches; devices of each a day

// siteMAC is the MAC of device n. The chips of a reel have MACs that follow each other,
// nearly in their order, four apart; reels come in any order. Without reels no two devices
// that a bench made one after the other are near each other in the order of the MACs,
// which is the worst for who reads the log in that order.
func siteMAC(n int) chip.MAC {
	if *siteScatter {
		return mac(n)
	}
	const reel = 1000
	m := mac(n / reel)
	binary.BigEndian.PutUint16(m[4:], uint16(m[4])<<8&0xf000|uint16(n%reel^1)*4)
	return m
}

// BenchmarkSite is what QA asks of a site of twenty benches, each of which makes 500
// devices a day, fourteen entries each:
//
//	go test ./internal/report -run '^$' -bench Site -site-devices 1000000
func BenchmarkSite(b *testing.B) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // as "station site report" and "site export" have it
	dir := cmp.Or(*siteKeep, b.TempDir())
	if _, err := os.Stat(filepath.Join(dir, "bench-1")); err != nil {
		begun := time.Now()
		makeSite(b, dir)
		fmt.Printf("made %d devices in %v\n", *siteDevices, time.Since(begun).Round(time.Second))
	}
	keepTimes(b, dir)
	begun := time.Now()
	set, err := replica.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer set.Close()
	fmt.Printf("opened in %v\n", time.Since(begun).Round(time.Millisecond))
	var benches []Bench
	for _, name := range set.Benches() {
		benches = append(benches, Bench{Name: name, Head: headOf(b, set.Ledger(name)), Within: func(from, to time.Time) (uint64, uint64) { return set.Within(name, from, to) }})
	}
	b.Run("device by MAC", func(b *testing.B) {
		defer cpu(b)()
		for b.Loop() {
			if found, err := set.Device(siteMAC(rand.IntN(*siteDevices))); len(found) != 1 || err != nil {
				b.Fatal(found, err)
			}
		}
	})
	b.Run("day", func(b *testing.B) {
		defer cpu(b)()
		from := begin.AddDate(0, 0, *siteDevices/siteBenches/siteDay/2)
		for b.Loop() {
			p, err := Report{Zone: time.UTC, Limit: 2000, Filter: Filter{From: from, To: from.AddDate(0, 0, 1)}}.page(benches)
			if err != nil || p.Devices != siteBenches*siteDay {
				b.Fatal(p.Devices, err)
			}
		}
	})
	for _, t := range Tables {
		b.Run("export of "+t.Name, func(b *testing.B) {
			defer cpu(b)()
			rows := uint64(0)
			for b.Loop() {
				n, err := SiteExport{Export: Export{Table: t, Format: CSV}, Benches: benches}.Write(io.Discard)
				if err != nil {
					b.Fatal(err)
				}
				rows += n
			}
			b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
		})
	}
}

// cpu tells how much time of processors an operation took, whoever else worked there.
func cpu(b *testing.B) func() {
	used := func() time.Duration {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op") }
}

// makeSite makes the ledgers as benches do: the first devices are those of the first one.
func makeSite(b *testing.B, dir string) {
	var all sync.WaitGroup
	free := make(chan bool, 2)
	for bench := range siteBenches {
		free <- true
		all.Go(func() {
			makeBench(b, filepath.Join(dir, fmt.Sprint("bench-", bench+1)), bench)
			<-free
		})
	}
	all.Wait()
}

// keepTimes makes the files of times that a site keeps as it fills its replicas.
func keepTimes(b *testing.B, dir string) {
	set, err := replica.New(dir)
	if err != nil {
		b.Fatal(err)
	}
	defer set.Close()
	for bench := range siteBenches {
		name := fmt.Sprint("bench-", bench+1)
		if _, err := os.Stat(filepath.Join(dir, name, "times")); err == nil {
			continue
		}
		r, err := set.Fill(name)
		if err == nil {
			err = r.Add(nil)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func makeBench(b *testing.B, dir string, bench int) {
	each := *siteDevices / siteBenches
	var entries int
	first := len(sealedDevice(0))
	o := ledger.Options{Create: true, Station: filepath.Base(dir), Now: func() time.Time {
		device := entries / first
		entries++
		return begin.AddDate(0, 0, device/siteDay).Add(time.Duration(device%siteDay)*time.Minute + time.Duration(entries%first)*time.Second)
	}}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		b.Error(err)
		return
	}
	l, err := ledger.Open(filepath.Join(dir, "ledger.db"), o)
	if err != nil {
		b.Error(err)
		return
	}
	defer l.Close()
	entries = 0
	if _, err := l.Append(record.Entry{Kind: record.BatchOpened, Batch: "2026-47", Quota: each, Job: "lamp", Operator: "anna"}); err != nil {
		b.Error(err)
		return
	}
	entries = 0
	var list []record.Entry
	for n := range each {
		device := sealedDevice(bench*each + n)
		for i := range device {
			device[i].MAC = siteMAC(bench*each + n)
		}
		if list = append(list, device...); len(list) < 5000 && n < each-1 {
			continue
		}
		if _, err := l.AppendAll(list); err != nil {
			b.Error(err)
			return
		}
		list = list[:0]
	}
}
