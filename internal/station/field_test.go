package station

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// emptyField is a ledger of which nobody knows anything yet.
func emptyField(t *testing.T) *FieldLedger {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path, record.Entry{Operator: "anna", Station: "bench-1"}); err != nil {
		t.Fatal(err)
	}
	book, err := OpenFieldLedger(path, "bench-1", "test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { book.Close() })
	return book
}

// A server whose devices all come at the same time writes an entry for each.
func TestFieldBurst(t *testing.T) {
	book := emptyField(t)
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

// A new release is held against the highest secure version that devices of the product have, as the
// line made them or as they told later.
func TestNotLower(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := ledger.Create(path, record.Entry{Operator: "anna", Station: "bench-1"}); err != nil {
		t.Fatal(err)
	}
	book, err := OpenFieldLedger(path, "bench-1", "test")
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	r := &Releases{Ledger: book}
	mac := func(i int) chip.MAC { return chip.MAC{0x24, 0x0a, 0xc4, 0, 0, byte(i)} }
	add := func(i int, product string, secure uint32, last record.Kind) {
		t.Helper()
		id := fmt.Sprintf("derived:master:%016x", i)
		for _, e := range []record.Entry{
			{Kind: record.DeviceSeen, Identity: &chip.Identity{MAC: mac(i)}},
			{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "derived"}}},
			{Kind: record.FlashVerified, Keys: record.FlashKey(id), Images: []record.Image{{Name: "app", Slot: "factory", Plain: "sha256:00", Version: "1.0.0", SecureVersion: &secure}}},
			{Kind: last, Keys: record.FlashKey(id), Verdict: record.Pass},
		} {
			e.MAC, e.Job, e.Batch, e.Operator = mac(i), product, "b1", "anna"
			if err := book.Append(e); err != nil {
				t.Fatal(err)
			}
		}
	}
	lower := func(secure uint32, want string) {
		t.Helper()
		err := r.notLower("lamp", secure, nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%d: got %v, want %q", secure, err, want)
		}
	}
	lower(0, "")
	add(1, "lamp", 2, record.Sealed)
	add(2, "kettle", 9, record.Sealed)
	add(3, "lamp", 9, record.BootVerified) // never sealed: nobody updates it
	lower(2, "")
	lower(1, "that of what device 24:0a:c4:00:00:01 has is 2: it would refuse this one")
	for i, state := range []string{"failure", "success"} {
		about := fmt.Appendf(nil, `{"product":"lamp","release":%d,"secureVersion":%d,"state":%q}`, i+1, 7-2*i, state)
		if err := book.Append(record.Entry{Kind: record.UpdateResult, MAC: mac(1), Operator: "serve", About: about}); err != nil {
			t.Fatal(err)
		}
	}
	lower(5, "")
	lower(4, "24:0a:c4:00:00:01 has is 5")
}
