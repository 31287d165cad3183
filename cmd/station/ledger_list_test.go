package main

import (
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// A name with a line break in it cannot put a device into the list.
func TestListHasNoForgedLines(t *testing.T) {
	b, err := ledger.Open(filepath.Join(t.TempDir(), "ledger.db"), ledger.Options{Create: true})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	forged := "lamp\n24:0a:c4:99:99:99\tPASS"
	if _, err := b.Append(record.Entry{Kind: record.DeviceSeen, MAC: chip.MAC{0x24, 5: 1}, Job: forged, Batch: forged}); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := listLedger(&out, b); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "lamp 24:0a:c4:99:99:99 PASS") {
		t.Errorf("one device is listed as\n%s", out.String())
	}
}
