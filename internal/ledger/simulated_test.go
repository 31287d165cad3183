package ledger

import (
	"errors"
	"path/filepath"
	"testing"

	"station/internal/chip"
	"station/internal/record"
)

// A real ledger keeps what virtual chips did apart: marked, counted by itself,
// and never in one chain with what is real.
func TestVirtualChipsInARealLedger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger.db")
	l, err := Open(path, Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	virtual, factory := chip.MAC{2, 0, 0, 0, 0, 1}, chip.MAC{0x24, 0x0a, 0xc4, 0, 0, 1}
	add(t, l, record.Entry{Kind: record.BatchOpened, Batch: "b1", Quota: 1, Operator: "anna"})
	for _, mac := range []chip.MAC{virtual, factory} {
		e := record.Entry{MAC: mac, Batch: "b1", Job: "lamp", Simulated: mac == virtual}
		if n, err := l.Reserve(e); n != 1 || err != nil {
			t.Fatalf("%s: got number %d, %v", mac, n, err)
		}
		serial, key, sealed := e, e, e
		serial.Kind, serial.Serial = record.SerialBound, "SN1"
		key.Kind = record.KeyAssigned
		key.Keys = []record.Key{{Purpose: chip.FlashEncryption, ID: "derived:m:" + mac.String(), Policy: "derived"}}
		sealed.Kind = record.Sealed
		add(t, l, serial, key, sealed)
	}
	for _, simulated := range []bool{false, true} {
		if lot, _, err := l.Lot(record.BatchLot("b1", simulated)); lot.Passed != 1 || lot.Reserved != 1 || err != nil {
			t.Errorf("simulated %t: got %+v, %v", simulated, lot, err)
		}
	}
	if owner, _, err := l.SerialOwner("SN1"); owner != factory || err != nil {
		t.Errorf("the serial number belongs to %s (%v)", owner, err)
	}
	add(t, l, record.Entry{Kind: record.SerialBound, MAC: chip.MAC{2, 5: 3}, Serial: "SN2", Simulated: true})
	for name, want := range map[string]chip.MAC{"SN1": factory, "SN2": {2, 5: 3}} {
		if mac, known, err := l.Named(name); mac != want || !known || err != nil {
			t.Errorf("%s is called %s (%t, %v), want %s", mac, name, known, err, want)
		}
	}
	if _, err := l.Reserve(record.Entry{MAC: chip.MAC{2, 5: 2}, Batch: "b1", Simulated: true}); !errors.Is(err, record.ErrQuota) {
		t.Errorf("a second virtual chip in a batch of one: %v", err)
	}
	add(t, l, record.Entry{Kind: record.Released, MAC: virtual, Operator: "anna", Message: "why"})
	for what, e := range map[string]record.Entry{
		"a real MAC":    {Kind: record.DeviceSeen, MAC: chip.MAC{0x24, 5: 9}, Simulated: true},
		"a real device": {Kind: record.DeviceSeen, MAC: factory, Simulated: true},
		"no MAC":        {Kind: record.LineHalted, Simulated: true},
	} {
		if _, err := l.Append(e); !errors.Is(err, record.ErrMixed) {
			t.Errorf("simulated, of %s: %v", what, err)
		}
	}
	// One that was taken for real before chips were asked: from now on it is
	// known as virtual, counts as that, and is never real again.
	old := record.Entry{Kind: record.DeviceSeen, MAC: chip.MAC{2, 5: 7}, Batch: "b1"}
	add(t, l, old)
	if lot, _, err := l.Lot(record.BatchLot("b1", false)); lot.Refused != 1 || err != nil {
		t.Errorf("before: %+v, %v", lot, err)
	}
	old.Simulated = true
	add(t, l, old)
	if lot, _, err := l.Lot(record.BatchLot("b1", false)); lot.Refused != 0 || lot.Passed != 1 || err != nil {
		t.Errorf("after: %+v, %v", lot, err)
	}
	old.Simulated = false
	if e, err := l.Append(old); !e.Simulated || err != nil {
		t.Errorf("real again: %v", err)
	}
	// A chip of which nobody can tell is of no batch.
	add(t, l, record.Entry{Kind: record.Failed, MAC: chip.MAC{2, 5: 8}, Batch: "b1", Verdict: record.Quarantine, Code: record.Doubtful})
	if lot, _, err := l.Lot(record.BatchLot("b1", false)); lot.Refused != 0 || err != nil {
		t.Errorf("a doubtful chip counts as refused: %+v, %v", lot, err)
	}
	entries, err := l.History(virtual)
	for _, e := range entries {
		if !e.Simulated {
			t.Errorf("%s of a virtual chip is not marked", e.Kind)
		}
	}
	if err != nil || len(entries) != 5 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	var a Audit
	for f := range Check(path, &a) {
		t.Error(f)
	}
}
