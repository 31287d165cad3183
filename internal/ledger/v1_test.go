package ledger

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/record"
)

// version1 is a copy of a ledger that a program of entries of version 1 made.
func version1(t testing.TB) string {
	t.Helper()
	data, err := os.ReadFile("../../fixtures/ledger/v1/ledger.db")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	write(t, path, string(data))
	return path
}

func wholeV1(t *testing.T, path string, size uint64) {
	t.Helper()
	var a Audit
	for fault := range Check(path, &a) {
		t.Error(fault)
	}
	if a.Size != size || a.Devices != 6 || a.Newer != 0 {
		t.Errorf("got %+v", a)
	}
}

// A ledger of version 1 is read, verified and written on. Only then a program
// of version 1 may not write it any more.
func TestVersion1(t *testing.T) {
	path := version1(t)
	wholeV1(t, path, 94)
	l := reopen(t, path, bench)
	if f := formatOf(t, l); f != 1 {
		t.Errorf("looking at it made it version %d", f)
	}
	sealed := chip.MAC{0x24, 0x0a, 0xc4, 0, 0, 1}
	before, err := l.History(sealed)
	if err != nil || len(before) == 0 || before[0].Version != 1 {
		t.Fatalf("got %d entries, %v", len(before), err)
	}
	e, err := l.Append(record.Entry{Kind: record.DeviceSeen, MAC: sealed})
	if err != nil || e.Version != record.Version || e.Index != 94 || e.Prev != before[len(before)-1].Index {
		t.Errorf("got %+v, %v", e, err)
	}
	if f := formatOf(t, l); f != record.Version {
		t.Errorf("written on it is still version %d", f)
	}
	if err := errors.Join(l.Rebuild(), l.Close()); err != nil {
		t.Fatal(err)
	}
	wholeV1(t, path, 95)
}

func formatOf(t *testing.T, l *Ledger) (n uint64) {
	t.Helper()
	err := l.view(func(s *snapshot) (err error) {
		n, _, err = lookupNumber(s, inState, stateFormat)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// What a version did not have is damage in its entries, whatever came later.
func TestUnknownFields(t *testing.T) {
	for _, c := range []struct{ name, change string }{
		{"of no version", `{"v":1,"grams":7,`},
		{"of no version, now", `{"v":2,"grams":7,`},
		{"no version", `{`},
		{"version 0", `{"v":0,`},
	} {
		path := version1(t)
		tamper(t, path, func(tx *txn) error {
			n := tx.size - 1
			return tx.forge(n, strings.Replace(tx.raw(n), `{"v":1,`, c.change, 1))
		})
		found := false
		for fault := range Check(path, nil) {
			found = found || strings.Contains(fault.Text, "not in the form")
		}
		if !found {
			t.Errorf("%s: not found", c.name)
		}
	}
}
