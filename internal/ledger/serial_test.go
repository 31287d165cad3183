package ledger

import (
	"errors"
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
