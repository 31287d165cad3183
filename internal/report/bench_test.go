package report

import (
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/record"
)

// benchDevices is how many devices the ledger of the benchmarks has; every
// device leaves a dozen entries.
const benchDevices = 10000

// peak watches how much memory the heap takes at most while fn runs.
func peak(fn func()) (most uint64) {
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		var m runtime.MemStats
		for {
			if runtime.ReadMemStats(&m); m.HeapInuse+m.StackInuse > most {
				most = m.HeapInuse + m.StackInuse
			}
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	fn()
	close(stop)
	<-done
	return most
}

func BenchmarkExport(b *testing.B) {
	x := newLine(b, false)
	fillMany(x, benchDevices)
	head := headOf(b, x.l)
	for _, t := range Tables {
		for _, f := range Formats {
			b.Run(fmt.Sprintf("%s/%s", t.Name, f), func(b *testing.B) {
				var rows uint64
				runtime.GC()
				most := peak(func() {
					for b.Loop() {
						p, err := Export{Table: t, Format: f}.Write(io.Discard, head)
						if err != nil {
							b.Fatal(err)
						}
						rows += p.Rows
					}
				})
				b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
				b.ReportMetric(float64(most)/1e6, "MB")
			})
		}
	}
}

// fillMany writes n sealed devices, many in a transaction.
func fillMany(x *line, n int) {
	x.t.Helper()
	var list []record.Entry
	for i := range n {
		x.now = x.now.Add(time.Second)
		list = append(list, sealedDevice(i)...)
		if len(list) > 5000 || i == n-1 {
			x.add(list...)
			list = list[:0]
		}
	}
}

func sealedDevice(n int) []record.Entry {
	var images []record.Image
	for i, name := range []string{"bootloader", "partition-table", "otadata", "app", "ota_0"} {
		images = append(images, record.Image{Name: name, Address: uint32(i+1) << 16, Size: 327680, Encrypted: true,
			Plain: sha(i), Flash: sha(1000 + n), MD5: "00112233445566778899aabbccddeeff", Version: "1.0.0"})
	}
	list := []record.Entry{
		{Kind: record.DeviceSeen, Step: "connect", Fuses: blank},
		{Kind: record.Admitted, Step: "admit", Decision: "fresh", Fuses: blank},
		{Kind: record.KeyAssigned, Step: "key", Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: keyID(n), Policy: "derived"}}, Token: "pkcs11:token=line-1;serial=1234"},
		{Kind: record.FlashVerified, Step: "flash", Keys: record.FlashKey(keyID(n)), Images: images},
	}
	for _, stage := range []string{"key", "protect", "config", "count"} {
		list = append(list, record.Entry{Kind: record.BurnIntended, Stage: stage, Fuses: blank},
			record.Entry{Kind: record.BurnSettled, Stage: stage, Fuses: locked, Seconds: 0.1})
	}
	list = append(list, record.Entry{Kind: record.BootVerified, Boot: &record.Boot{Digest: sha(9), Marker: "I (312) lamp: ready", Seconds: 0.8}},
		record.Entry{Kind: record.Sealed, Keys: record.FlashKey(keyID(n)), Verdict: record.Pass, Fuses: locked})
	for i := range list {
		e := &list[i]
		e.MAC, e.Job, e.Revision, e.JobHash, e.Batch = mac(n), "lamp", "4", sha(4), "2026-47"
		e.Slot, e.Run, e.Operator = "3", fmt.Sprintf("%016x", n), "anna"
	}
	return list
}
