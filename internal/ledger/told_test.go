package ledger

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"station/internal/record"
)

// tellAll takes all devices as an export does.
func tellAll(l *Ledger) (devices int, err error) {
	told, err := l.Told()
	if err != nil {
		return 0, err
	}
	for list, err := range told.Devices() {
		if err == nil {
			err = told.Hold(list)
		}
		if err != nil {
			return devices, err
		}
		devices += len(list)
	}
	return devices, told.Rest()
}

// What is told of the devices is what the log says, with the lines that were asked
// for, also of devices in work and beside the line that goes on.
func TestTold(t *testing.T) {
	l := start(t, bench)
	for n := range 40 {
		list := run(n)
		if n%7 == 0 {
			list = list[:2]
		}
		add(t, l, list...)
	}
	told, err := l.Told()
	if err != nil {
		t.Fatal(err)
	}
	add(t, l, run(0)[2:]...) // meanwhile
	add(t, l, run(50)...)
	devices := 0
	for list, err := range told.Devices() {
		if err = errors.Join(err, told.Hold(list)); err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			devices++
			last, err := record.Decode(d.LastLine)
			if err != nil || last.Index != d.Last || last.MAC != d.MAC {
				t.Errorf("last line of %s: %s, %v", d.MAC, d.LastLine, err)
			}
			flashed, err := record.Decode(d.FlashedLine)
			if d.Flashed > 0 && (err != nil || flashed.Index != d.Flashed || flashed.Kind != record.FlashVerified) || d.Flashed == 0 && d.FlashedLine != nil {
				t.Errorf("flashed line of %s: %s, %v", d.MAC, d.FlashedLine, err)
			}
		}
	}
	if err := told.Rest(); err != nil || devices != 41 {
		t.Errorf("%d devices, %v", devices, err)
	}
}

// A hash of the tree that was changed, or a leaf with its entry, is found while
// the log is read from its begin.
func TestLinesHoldTheTree(t *testing.T) {
	whole, err := os.ReadFile(filled(t).Path())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ledger.db")
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	tamper(t, path, func(tx *txn) error {
		const n = 8 // its leaf ends no subtree
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
		t.Errorf("lines: %v", found)
	}
	told, err := l.Told()
	if err == nil {
		for i := range told.seen { // as if every device had been told
			told.seen[i].Store(^uint64(0))
		}
		err = told.Rest()
	}
	if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "tree's hash") {
		t.Errorf("devices: %v", err)
	}
}
