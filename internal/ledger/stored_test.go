package ledger

import (
	"bytes"
	"encoding/json"
	"testing"

	"station/internal/record"
)

// What is stored of the devices is what Devices tells of them, over more than
// one look.
func TestStoredDevices(t *testing.T) {
	l := start(t, bench)
	const n = scanned + 20
	for i := range n {
		list := run(i)
		if i%7 == 0 {
			list = list[:2] // no flash verified
		}
		if _, err := l.AppendAll(list); err != nil {
			t.Fatal(err)
		}
	}
	var stored []Stored
	for list, err := range l.StoredDevices() {
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, list...)
	}
	if len(stored) != n {
		t.Fatalf("got %d devices, want %d", len(stored), n)
	}
	i := 0
	for want, err := range l.Devices() {
		if err != nil {
			t.Fatal(err)
		}
		got := stored[i]
		i++
		if got.Last != want.Last || got.Flashed != want.Flashed {
			t.Errorf("%s: got %d and %d, want %d and %d", want.MAC, got.Last, got.Flashed, want.Last, want.Flashed)
		}
		want.Images = nil
		if b, _ := json.Marshal(want); !bytes.Equal(b, got.Device) {
			t.Errorf("got %s\nwant %s", got.Device, b)
		}
	}
}

func TestStoredDevicesOfNone(t *testing.T) {
	for range start(t, bench).StoredDevices() {
		t.Error("an empty ledger has devices")
	}
}

func TestLinesAt(t *testing.T) {
	l := start(t, bench)
	stored := add(t, l, run(1)...)
	for i := range 300 {
		if _, err := l.AppendAll(run(2 + i)); err != nil {
			t.Fatal(err)
		}
	}
	indexes := []uint64{stored[3].Index, 0, 2500, stored[1].Index, stored[3].Index}
	got, err := l.LinesAt(indexes...)
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range indexes {
		want, err := l.Entry(n)
		if err != nil {
			t.Fatal(err)
		}
		var e record.Entry
		if err := json.Unmarshal(got[i], &e); err != nil || e.Index != want.Index || e.Kind != want.Kind {
			t.Errorf("entry %d: got %s, %v", n, got[i], err)
		}
	}
	if got, err := l.LinesAt(1, 1<<40); err == nil || got != nil {
		t.Errorf("an entry that is not there: got %d lines, %v", len(got), err)
	}
}
