package station

import (
	"fmt"
	"path/filepath"
	"sync"
	"testing"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// A server whose devices all come at the same time writes an entry for each.
func TestFieldBurst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path, record.Entry{Operator: "anna", Station: "bench-1"}); err != nil {
		t.Fatal(err)
	}
	book, err := OpenFieldLedger(path, "bench-1", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	const burst = 64
	var wg sync.WaitGroup
	for i := range burst {
		wg.Go(func() {
			about := fmt.Appendf(nil, `{"product":"lamp","release":%d}`, i+1)
			if err := book.Append(record.Entry{Kind: record.ReleaseMade, Operator: "anna", About: about}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if list, err := book.Fields(record.ReleaseMade); err != nil || len(list) != burst {
		t.Errorf("%d entries of %d, %v", len(list), burst, err)
	}
}

// A device that the server knows already is told anew as soon as the ledger is
// another, whoever changed it; and a server keeps no more than a few of them.
func TestFieldDevices(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path, record.Entry{Operator: "anna", Station: "bench-1"}); err != nil {
		t.Fatal(err)
	}
	book, err := OpenFieldLedger(path, "bench-1", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	line, err := ledger.Open(path, ledger.Options{Station: "bench-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	mac := func(i int) chip.MAC { return chip.MAC{0x24, 0x0a, 0xc4, 0, byte(i >> 8), byte(i)} }
	seen := func(i int) record.Entry {
		return record.Entry{Kind: record.DeviceSeen, Identity: &chip.Identity{MAC: mac(i)}, MAC: mac(i), Job: "lamp", Operator: "anna"}
	}
	for range 2 {
		if _, found, err := book.Device(mac(1)); found || err != nil {
			t.Fatalf("known before it was seen: %v", err)
		}
	}
	if _, err := line.Append(seen(1)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if d, found, err := book.Device(mac(1)); !found || err != nil || d.Job != "lamp" || d.SetAside {
			t.Fatalf("got %+v, %t, %v", d, found, err)
		}
	}
	if _, err := line.Append(record.Entry{Kind: record.Failed, MAC: mac(1), Operator: "anna", Verdict: record.Quarantine}); err != nil {
		t.Fatal(err)
	}
	if d, found, err := book.Device(mac(1)); !found || err != nil || !d.SetAside {
		t.Errorf("set aside, it is told as %+v, %t, %v", d, found, err)
	}
	for i := range fieldDevices + 10 {
		if _, _, err := book.Device(mac(i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(book.devices) > fieldDevices {
		t.Errorf("%d devices are kept", len(book.devices))
	}
}
