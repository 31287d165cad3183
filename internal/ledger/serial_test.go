package ledger

import (
	"errors"
	"strings"
	"testing"

	"station/internal/record"
)

// No serial number twice, no device with two; Check agrees (in start's
// cleanup) and finds one that was changed behind the ledger's back.
func TestSerialNumbers(t *testing.T) {
	l := start(t, bench)
	bind := func(n int, serial string) error {
		_, err := l.Append(record.Entry{Kind: record.SerialBound, MAC: mac(n), Serial: serial})
		return err
	}
	if err := bind(1, "SN1"); err != nil {
		t.Fatal(err)
	}
	if err := bind(1, "SN1"); err != nil {
		t.Errorf("the same once more: %v", err)
	}
	if err := bind(2, "SN1"); !errors.Is(err, record.ErrSerialTaken) {
		t.Errorf("a serial for two devices: %v", err)
	}
	if err := bind(1, "SN2"); !errors.Is(err, record.ErrSerialTaken) {
		t.Errorf("a second serial: %v", err)
	}
	if err := bind(3, ""); err == nil {
		t.Error("no serial was bound")
	}
	owner, bound, err := l.SerialOwner("SN1")
	if err != nil || !bound || owner != mac(1) {
		t.Errorf("owner of SN1: %v, %v, %v", owner, bound, err)
	}
	if _, bound, _ := l.SerialOwner("SN2"); bound {
		t.Error("SN2 is bound")
	}
}

// A serial number may read as the MAC of another device: then the digits alone
// name nobody.
func TestANameOfTwoDevices(t *testing.T) {
	l := start(t, bench)
	digits := strings.ReplaceAll(mac(1).String(), ":", "")
	own := strings.ReplaceAll(mac(3).String(), ":", "")
	for _, e := range []record.Entry{{MAC: mac(1), Serial: "SN1"}, {MAC: mac(2), Serial: digits}, {MAC: mac(3), Serial: own}} {
		e.Kind = record.SerialBound
		if _, err := l.Append(e); err != nil {
			t.Fatal(err)
		}
	}
	if _, known, err := l.Named(digits); !errors.Is(err, ErrTwoDevices) {
		t.Errorf("%s: known %t, %v", digits, known, err)
	}
	for name, want := range map[string]int{mac(1).String(): 1, "SN1": 1, mac(2).String(): 2, own: 3} {
		if got, known, err := l.Named(name); err != nil || !known || got != mac(want) {
			t.Errorf("%s: got %v, %t, %v", name, got, known, err)
		}
	}
	if _, known, err := l.Named("240ac4fffff0"); known || err != nil {
		t.Errorf("a MAC that is not there: known %t, %v", known, err)
	}
}
