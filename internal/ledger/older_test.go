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
func version1(t testing.TB) string { return kept(t, "v1") }

// kept is a copy of a ledger that an older program made.
func kept(t testing.TB, version string) string {
	t.Helper()
	data, err := os.ReadFile("../../fixtures/ledger/" + version + "/ledger.db")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	write(t, path, string(data))
	return path
}

func wholeLedger(t *testing.T, path string, size uint64, devices int) {
	t.Helper()
	var a Audit
	for fault := range Check(path, &a) {
		t.Error(fault)
	}
	if a.Size != size || a.Devices != devices || a.Newer != 0 {
		t.Errorf("got %+v", a)
	}
}

// A ledger of an older version is read, verified and written on; its entries stay as they
// are, so that its head is what it was. Only then a program of that version may not write it any more.
func TestOlderVersions(t *testing.T) {
	for _, c := range []struct {
		name    string
		version int
		size    uint64
		devices int
		sealed  chip.MAC
		root    string // as the program of then printed it
	}{
		{"v1", 1, 94, 6, chip.MAC{0x24, 0x0a, 0xc4, 0, 0, 1}, ""},
		{"v2", 2, 36, 2, chip.MAC{0x26, 0x0a, 0xc4, 0, 0, 1}, "JTN+F6ddbY7628H4AT72/ONiGqMzTLGqNj7GGWp7m8Q="},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := kept(t, c.name)
			wholeLedger(t, path, c.size, c.devices)
			l := reopen(t, path, bench)
			if f := formatOf(t, l); f != uint64(c.version) {
				t.Errorf("looking at it made it version %d", f)
			}
			if _, root, err := l.Head(); err != nil || c.root != "" && root.String() != c.root {
				t.Errorf("its head is %s, %v", root, err)
			}
			before, err := l.History(c.sealed)
			if err != nil || len(before) == 0 || before[0].Version != c.version {
				t.Fatalf("got %d entries, %v", len(before), err)
			}
			e, err := l.Append(record.Entry{Kind: record.DeviceSeen, MAC: c.sealed})
			if err != nil || e.Version != record.Version || e.Index != c.size || e.Prev != before[len(before)-1].Index {
				t.Errorf("got %+v, %v", e, err)
			}
			if _, err := l.Append(record.Entry{Kind: record.IdentityRevoked, MAC: c.sealed, Operator: "eve", Message: "stolen", About: record.NamesIdentity(record.Identity{})}); err != nil {
				t.Errorf("a device of then cannot be revoked: %v", err)
			}
			if f := formatOf(t, l); f != record.Version {
				t.Errorf("written on it is still version %d", f)
			}
			if err := errors.Join(l.Rebuild(), l.Close()); err != nil {
				t.Fatal(err)
			}
			wholeLedger(t, path, c.size+2, c.devices)
		})
	}
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
		{"of no version, later", `{"v":2,"grams":7,`},
		{"of no version, now", `{"v":3,"grams":7,`},
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
