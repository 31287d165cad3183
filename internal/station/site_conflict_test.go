package station

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flow/flowtest"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/hub"
)

// conflicted waits until the bench's ledger says whether a device is in a conflict.
func (b *siteLine) conflicted(n int, is bool) {
	b.t.Helper()
	for {
		d, _, err := b.site.Ledger.Device(VirtualMAC(n))
		if err != nil {
			b.t.Fatal(err)
		}
		if d.Conflicted == is {
			return
		}
		runtime.Gosched()
	}
}

// Two devices that got one key while nobody could ask are refused at every bench, also at
// one that never saw them, until a person has settled it; each ledger says so.
func TestConflictStopsBothEverywhere(t *testing.T) {
	b := lines(t, OfflineLease, 3, 0, "bench-1", "bench-2", "bench-3")
	b[0].key(1, "derived:m:1")
	b[0].settled()
	b[1].key(2, "derived:m:1")
	for _, bench := range b {
		bench.conflicted(1, true)
		bench.conflicted(2, true)
	}
	for n := 1; n < 3; n++ {
		chip := b[0].chip(n)
		factory := chip.Fuses()
		flowtest.WantVerdict(t, b[2].visit(chip), record.Quarantine, record.Conflicting)
		if chip.Fuses() != factory {
			t.Error("it was burned")
		}
	}
	folder := b[0].folder
	if err := folder.Settle(t.Context(), VirtualMAC(9), site.Settled{Operator: "eve", Reason: "none"}); err == nil || !strings.Contains(err.Error(), hub.ErrNoConflict.Error()) {
		t.Errorf("a device without a conflict: %v", err)
	}
	if err := folder.Settle(t.Context(), VirtualMAC(1), site.Settled{Operator: " ", Reason: "x"}); err == nil {
		t.Error("it was settled by nobody")
	}
	if err := folder.Settle(t.Context(), VirtualMAC(1), site.Settled{Operator: "eve", Reason: "the other is scrap"}); err != nil {
		t.Fatal(err)
	}
	b[2].stop()
	b[2].start()
	for _, bench := range b {
		bench.conflicted(1, false)
		bench.conflicted(2, true)
		list, err := bench.site.Ledger.History(VirtualMAC(1))
		if last := list[len(list)-1]; err != nil || last.Kind != record.ConflictSettled || last.Operator != "eve" || last.Message != "the other is scrap" {
			t.Errorf("%s: its last entry is %+v, %v", bench.file.ID, last, err)
		}
	}
}

// A bench that sends its ledger without a line hears of the conflicts in it, and the site has
// that too.
func TestPushHearsOfConflicts(t *testing.T) {
	b := lines(t, "", 0, 0, "bench-1", "bench-2")
	b[0].key(1, "derived:m:1")
	b[0].settled()
	b[1].stop()
	book, err := ledger.Open(b[1].file.Ledger, ledger.Options{Simulated: true, Station: "bench-2"})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	e := record.Entry{Kind: record.KeyAssigned, MAC: VirtualMAC(2), Simulated: true, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: "derived:m:1", Policy: "derived"}}}
	if _, err := book.Append(e); err != nil {
		t.Fatal(err)
	}
	push := func() (told []string) {
		t.Helper()
		now, err := PushSite(t.Context(), b[1].file, book, func(f func(*ledger.Ledger) error) error { return f(book) }, func(text string) { told = append(told, text) })
		if size, _, _ := book.Head(); err != nil || now.Mirrored != size || len(told) != 2 {
			t.Fatalf("%d of %d entries are sent, %q told, %v", now.Mirrored, size, told, err)
		}
		return told
	}
	push()
	for n := 1; n < 3; n++ {
		if d, _, err := book.Device(VirtualMAC(n)); !d.Conflicted || err != nil {
			t.Errorf("device %d: conflicted %t, %v", n, d.Conflicted, err)
		}
	}
	b[0].conflicted(1, true)
	list, err := b[0].folder.List(t.Context())
	if want := []string{VirtualMAC(2).String(), VirtualMAC(1).String()}; err != nil || len(list) != 2 || !slices.Equal(list[1].Conflicts[0].Open, want) {
		t.Errorf("the site has %+v, %v", list, err)
	}
	for n := 1; n < 3; n++ {
		if err := b[0].folder.Settle(t.Context(), VirtualMAC(n), site.Settled{Operator: "eve", Reason: "scrap"}); err != nil {
			t.Fatal(err)
		}
	}
	if told := push(); !strings.HasSuffix(told[0], ": settled by eve: scrap") {
		t.Errorf("of what is settled it tells %q", told)
	}
}

// conflictFound is a conflict that the site has found, and told.
func conflictFound(t *testing.T, b *siteBench, s *Site) {
	other := &siteLine{siteBench: b.another(t, "bench-2"), t: t}
	other.start()
	other.key(7, "derived:m:7")
	other.settled()
	this := &siteLine{siteBench: b, t: t, site: s}
	this.key(7, "derived:m:7")
	this.conflicted(7, true)
}
