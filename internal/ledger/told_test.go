package ledger

import (
	"bytes"
	"errors"
	"iter"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/chip"
	"station/internal/record"
)

// tellAll takes all devices as an export does.
func tellAll(l *Ledger, size uint64, each func(*record.Device, []record.Entry)) error {
	told, err := l.Told(size)
	if err != nil {
		return err
	}
	for list, err := range told.Devices() {
		if err == nil {
			err = told.Hold(list, func(_ int, d *record.Device, entries []record.Entry) error { each(d, entries); return nil })
		}
		if err != nil {
			return err
		}
	}
	return told.Rest()
}

// allTold are all devices with their entries.
func allTold(t *testing.T, l *Ledger) iter.Seq2[*record.Device, []record.Entry] {
	t.Helper()
	return func(yield func(*record.Device, []record.Entry) bool) {
		err := tellAll(l, math.MaxUint64, func(d *record.Device, entries []record.Entry) { yield(d, entries) })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What is told of the devices is what the log says, over more than one look, also
// of devices in work, beside the line that goes on, and as they were before.
func TestTold(t *testing.T) {
	l := start(t, bench)
	want := map[chip.MAC]*record.Device{}
	fold := func(list []record.Entry) {
		for _, e := range list {
			if want[e.MAC] == nil {
				want[e.MAC] = new(record.Device)
			}
			want[e.MAC].Apply(e)
		}
	}
	const n = storedAtOnce + 20
	for n := range n {
		list := run(n)
		if n%7 == 0 {
			list = list[:2]
		}
		stored, err := l.AppendAll(list)
		if err != nil {
			t.Fatal(err)
		}
		fold(stored)
	}
	size, _, _ := l.Head()
	add(t, l, run(0)[2:]...) // later
	add(t, l, run(n)...)
	devices := 0
	err := tellAll(l, size, func(d *record.Device, entries []record.Entry) {
		devices++
		if !reflect.DeepEqual(d, want[d.MAC]) {
			t.Errorf("got %+v, want %+v", d, want[d.MAC])
		}
		first, last := entries[0], entries[len(entries)-1]
		if first.Index != d.First || last.Index != d.Last || last.MAC != d.MAC {
			t.Errorf("%s: entries %d to %d, want %d to %d", d.MAC, first.Index, last.Index, d.First, d.Last)
		}
	})
	if err != nil || devices != n {
		t.Errorf("%d devices, %v", devices, err)
	}
}

func TestNothingIsTold(t *testing.T) {
	for d := range allTold(t, start(t, bench)) {
		t.Errorf("an empty ledger has %s", d.MAC)
	}
}

// A leaf that was changed with its entry is found while the log is read from its
// begin, and by whoever reads parts of it at once.
func TestLinesHoldTheTree(t *testing.T) {
	whole := reopen(t, filled(t).Path(), Options{ReadOnly: true})
	size, _, err := whole.Head()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(whole.Path())
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []uint64{8, size / 4 * 2, size/4*2 - 2, size/2*2 - 2} { // even ones: such a leaf ends no subtree
		path := filepath.Join(t.TempDir(), "ledger.db")
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		tamper(t, path, func(tx *txn) error {
			raw, err := entryAt(tx, n)
			raw = bytes.Replace(raw, []byte(`"kind":"`), []byte(`"kind":"x`), 1)
			leaf := tlog.RecordHash(raw)
			return errors.Join(err, tx.bucket(inEntries).Put([]byte(number(n)), append(leaf[:], raw...)))
		})
		l, err := Open(path, Options{ReadOnly: true})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var found error
		for _, err := range l.Lines(0) {
			found = err
		}
		if !errors.Is(found, ErrCorrupt) || !strings.Contains(found.Error(), "tree's hash") {
			t.Errorf("entry %d of %d, lines: %v", n, size, found)
		}
		told, err := l.Told(0)
		if err == nil {
			for i := range told.seen { // as if every device had been told
				told.seen[i].Store(^uint64(0))
			}
			err = told.Rest()
		}
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "tree's hash") {
			t.Errorf("entry %d of %d, devices: %v", n, size, err)
		}
	}
}

// An entry of which a byte was changed is not told, also where nothing that the device
// is depends on it.
func TestToldHoldsEachEntry(t *testing.T) {
	path := copyOf(t, filled(t).Path())
	tamper(t, path, func(tx *txn) error {
		const n = 40
		raw, err := entryAt(tx, n)
		value := tx.bucket(inEntries).Get([]byte(number(n)))
		other := bytes.Replace(raw, []byte(`"slot":"3"`), []byte(`"slot":"4"`), 1)
		if bytes.Equal(raw, other) {
			t.Fatalf("%s has no slot", raw)
		}
		return errors.Join(err, tx.bucket(inEntries).Put([]byte(number(n)), append(bytes.Clone(value[:hashCount(n)*tlog.HashSize]), other...)))
	})
	l, err := Open(path, Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := tellAll(l, math.MaxUint64, func(*record.Device, []record.Entry) {}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "not what was written") {
		t.Errorf("all devices are told: %v", err)
	}
}
