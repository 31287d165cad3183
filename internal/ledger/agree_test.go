package ledger

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/record"
)

// Whatever is changed in the projection of one device is found from its own
// entries, and by the check of the indexes alone; the others agree.
func TestAgrees(t *testing.T) {
	whole, err := os.ReadFile(filled(t).Path())
	if err != nil {
		t.Fatal(err)
	}
	m := mac(7)
	put := func(tx *txn, d record.Device) error {
		payload, err := devicePayload(d)
		return errors.Join(err, tx.put(inDevices, string(m[:]), payload))
	}
	for name, change := range map[string]func(*txn, record.Device) error{
		"another verdict": func(tx *txn, d record.Device) error { d.Sealed = !d.Sealed; return put(tx, d) },
		"another batch":   func(tx *txn, d record.Device) error { d.Batch = "other"; return put(tx, d) },
		"an older state": func(tx *txn, d record.Device) error {
			list, err := chain(tx, m, d.Last, 0)
			var old record.Device
			for _, e := range list[:len(list)-2] {
				old.Apply(e)
			}
			return errors.Join(err, put(tx, old))
		},
		"no projection": func(tx *txn, _ record.Device) error { return tx.bucket(inDevices).Delete(m[:]) },
	} {
		path := filepath.Join(t.TempDir(), "ledger.db")
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
		tamper(t, path, func(tx *txn) error {
			d, _, err := deviceAt(tx, m)
			return errors.Join(err, change(tx, d))
		})
		l, err := Open(path, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Agrees(m); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), m.String()) {
			t.Errorf("%s: got %v", name, err)
		}
		if d, _, err := l.Device(m); strings.HasPrefix(name, "another") && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: a line is told %+v, %v", name, d, err)
		}
		n := 0
		if err := tellAll(l, math.MaxUint64, func(*record.Device, []record.Entry) { n++ }); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: all %d devices are told: %v", name, n, err)
		}
		if err := l.Agrees(mac(8)); err != nil {
			t.Errorf("%s: another device: %v", name, err)
		}
		found := false
		for range l.Check(&Audit{Indexes: true}) {
			found = true
		}
		if !found {
			t.Errorf("%s: the check of the indexes found nothing", name)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A device in work agrees at every moment, beside its writer too.
func TestAgreesInWork(t *testing.T) {
	l := start(t, bench)
	for n := range 3 {
		for _, e := range run(n) {
			add(t, l, e)
			for m := range n + 1 {
				if err := l.Agrees(mac(m)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if err := l.Agrees(mac(99)); err != nil {
		t.Errorf("a device that was never seen: %v", err)
	}
	for fault := range l.Check(&Audit{Indexes: true}) {
		t.Error(fault)
	}
}
