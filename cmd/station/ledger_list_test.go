package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/ledger"
	"station/internal/record"
	qa "station/internal/report"
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
	if err := listLedger(&out, b, identityFilters[""]); err != nil {
		t.Fatal(err)
	}
	if lines := strings.Split(strings.TrimSpace(out.String()), "\n"); len(lines) != 2 || !strings.Contains(lines[1], "lamp 24:0a:c4:99:99:99 PASS") {
		t.Errorf("one device is listed as\n%s", out.String())
	}
}

// The account of a batch with a device that is made in another one says how there is
// room for a device more, for as long as one is missing.
func TestAnAccountSaysHowABatchGetsRoom(t *testing.T) {
	for want, b := range map[string]qa.Balance{
		"1 of its devices moved to another batch and kept their numbers; \"station batch amend c --quota N\" makes room": {Ordered: 1, Numbers: 1, Moved: 1},
		"": {Ordered: 1, Numbers: 2, Moved: 1, Passed: 1},
	} {
		b.Batch = "c"
		var out strings.Builder
		printAccount(&out, &b)
		if said := strings.Contains(out.String(), "amend"); said != (want != "") || !strings.Contains(out.String(), want) {
			t.Errorf("want %q in\n%s", want, out.String())
		}
	}
}

// Nor can what a token, a chip or a ledger holds put a line into what is told of it.
func TestAccountsHaveNoForgedLines(t *testing.T) {
	bad := "lamp\n" + forged + "\tPASS"
	for name, show := range map[string]func(io.Writer){
		"probe": func(w io.Writer) {
			printReport(w, flow.Report{Known: true, Device: record.Device{Job: bad, Keys: record.FlashKey(bad)}, Decision: "fresh", Why: bad, Plan: []string{bad}})
		},
		"hsm status": func(w io.Writer) {
			printStatus(w, hsm.Status{Info: hsm.Info{Label: bad}, Keys: []hsm.Key{{Label: bad}}, Others: []hsm.Key{{Label: bad}}, Missing: []string{bad}}, bad, bad)
		},
		"batch show": func(w io.Writer) { printAccount(w, &qa.Balance{Batch: bad, Job: bad}) },
	} {
		var out strings.Builder
		show(&out)
		if strings.Contains(out.String(), "\n"+forged) || !strings.Contains(out.String(), forged) {
			t.Errorf("%s:\n%s", name, out.String())
		}
	}
}
