package station

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
)

// With numbers in hand a bench works without its site, and for no device more; when the
// site is back it goes on by itself, and what it claimed meanwhile is settled.
func TestLeaseWithoutTheSite(t *testing.T) {
	b := lines(t, OfflineLease, 3, 0, "bench-1")[0]
	b.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "anna"}) // without a quota
	flowtest.WantVerdict(t, b.visit(b.chip(0)), record.Pass, "")
	b.server.Close()
	b.up(false)
	b.restart() // a start without the site changes nothing
	n := 1
	for left := b.site.numbers.left(); left > 0; left = b.site.numbers.left() {
		if err := b.site.Healthy(); err != nil {
			t.Fatal(err)
		}
		if h := b.site.Health(); h.OK || h.Words != fmt.Sprintf("away; numbers left: %d", left) {
			t.Errorf("its health is %+v", h)
		}
		flowtest.WantVerdict(t, b.visit(b.chip(n)), record.Pass, "")
		n++
	}
	if n < 3 {
		t.Errorf("only %d devices were made with a lease of 3", n)
	}
	late := b.chip(n)
	factory := late.Fuses()
	flowtest.WantVerdict(t, b.visit(late), record.Station, "E-SITE")
	if late.Fuses() != factory {
		t.Error("a device without a number was burned")
	}
	if f := flow.FailureFrom(b.site.Healthy()); f.Code != "E-SITE" || !errors.Is(f, record.ErrNumbers) {
		t.Errorf("the station is %v", f)
	}
	siteBack(t, b)
	b.up(true)
	if err := b.site.Healthy(); err != nil {
		t.Fatal(err)
	}
	flowtest.WantVerdict(t, b.visit(late), record.Pass, "")
	if different(t, b) != n+1 {
		t.Errorf("numbers %v", b.taken())
	}
	b.settled()
	other := &siteLine{siteBench: b.another(t, "bench-2"), t: t, st: b.st}
	other.start()
	other.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "anna"})
	flowtest.WantVerdict(t, other.visit(b.chip(1)), record.Quarantine, record.Stranger) // a blank chip with that MAC
}

// Wherever a bench or the site ends, between a question for numbers and a device that has
// one, and though the site loses its copies: each number is given once, none is lost but
// those that a device took, and the quota is used up to its end.
func TestLeaseCuts(t *testing.T) {
	const quota = 12
	b := lines(t, OfflineLease, 1, quota, "bench-1", "bench-2")
	cuts := map[string]func(b *siteLine){
		"before the question": func(*siteLine) {},
		"the answer is lost": func(b *siteLine) {
			l, _, err := b.site.Ledger.Lot(record.BatchLot("b", true))
			if err != nil || !l.Room() {
				t.Fatal(l, err)
			}
			if _, err = b.site.Lease(t.Context(), site.LeaseWanted{Lot: l.Name, Turn: l.Leases + 1, Quota: quota, Size: 1}); err != nil && !errors.Is(err, site.ErrFull) {
				t.Fatal(err)
			}
		},
		"before a number is taken": func(b *siteLine) {
			if err := b.site.numbers.ready(t.Context(), record.Entry{Batch: "b", MAC: VirtualMAC(99), Simulated: true}); err != nil {
				t.Fatal(err)
			}
		},
		"before the device has a key": func(b *siteLine) {
			if _, err := b.take(90); err != nil {
				t.Fatal(err)
			}
		},
	}
	n := 0
	for i, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range cuts {
			if !yield(name) {
				return
			}
		}
	}) {
		for _, who := range []string{"bench", "site"} {
			bench := b[i%2]
			cuts[name](bench)
			if who == "bench" {
				bench.restart()
			} else {
				b[0].server.Close()
				siteBack(t, b...)
			}
			for _, each := range b {
				each.up(true)
				each.settled() // also a bench that has not noticed that its site was away
			}
			if _, err := bench.take(n); err != nil {
				t.Fatalf("%s, %s: %v", name, who, err)
			}
			n++
		}
	}
	b[0].server.Close()
	if err := os.RemoveAll(filepath.Join(b[0].folder.Dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	b[0].stop()
	siteBack(t, b...)
	b[1].up(true)
	b[1].settled()
	free := b[1].site.numbers.left()
	for i := range free {
		if _, err := b[1].take(50 + i); err != nil {
			t.Fatal(err)
		}
	}
	if code, err := b[1].take(60); code != "E-SITE" || !strings.Contains(err.Error(), "has not read again which numbers bench-1 have") {
		t.Errorf("while the site does not know what bench-1 has: %v", err)
	}
	b[0].start()
	b[0].settled()
	for ; n < 20; n++ {
		if code, err := b[n%2].take(n); err != nil && code != "E-QUOTA" {
			t.Fatal(err)
		}
	}
	if got := different(t, b...); got != quota {
		t.Errorf("%d numbers were given, of %d: %v and %v", got, quota, b[0].taken(), b[1].taken())
	}
}

// What a bench gives back goes to others, and it takes none of it any more.
func TestNumbersGoBack(t *testing.T) {
	b := lines(t, OfflineLease, 4, 8, "bench-1", "bench-2")
	if _, err := b[0].take(1); err != nil {
		t.Fatal(err)
	}
	b[0].stop()
	b[0].start() // it may have got a second block meanwhile
	b[0].site.numbers.lot(record.Entry{})
	lot, _, err := b[0].site.Ledger.Lot(record.BatchLot("b", true))
	if err != nil || lot.Left() == 0 {
		t.Fatal(lot, err)
	}
	b[0].note(record.Entry{Kind: record.NumbersReturned, Batch: "b", Operator: "anna", Message: "bench-2 makes the rest", About: record.AboutOf(record.Returned{Blocks: lot.Unused()})})
	b[0].settled()
	for n := range 7 {
		if _, err := b[1].take(10 + n); err != nil {
			t.Fatalf("device %d: %v", n, err)
		}
	}
	if code, err := b[0].take(2); code != "E-QUOTA" || different(t, b...) != 8 {
		t.Errorf("beyond the quota: %v; %v and %v", err, b[0].taken(), b[1].taken())
	}
}

// The bench that comes first does not take what the others need: of a quota that is no more
// than a block it has half in hand, and the others get numbers.
func TestFirstBenchLeavesNumbersToOthers(t *testing.T) {
	b := lines(t, OfflineLease, 100, 0, "bench-1", "bench-2")
	for _, bench := range b {
		bench.note(record.Entry{Kind: record.BatchOpened, Batch: "c", Quota: 16, Operator: "anna"})
		bench.settled()
	}
	take := func(b *siteLine, n int) error {
		_, err := (claims{b.site.Ledger, b.site}).Reserve(record.Entry{Batch: "c", MAC: VirtualMAC(n), JobHash: b.st.Job.Digest(), Simulated: true})
		return err
	}
	if err := take(b[0], 1); err != nil {
		t.Fatal(err)
	}
	b[0].settled() // it has looked since whether it needs another block
	lot, _, err := b[0].site.Ledger.Lot(record.BatchLot("c", true))
	if err != nil || lot.Left() != 7 {
		t.Errorf("it has %d numbers of 16 in hand: %v", lot.Left(), err)
	}
	for n := range 8 {
		if err := take(b[1], 10+n); err != nil {
			t.Fatalf("device %d of the other bench: %v", n, err)
		}
	}
	for n := range 7 {
		if err := take(b[0], 20+n); err != nil {
			t.Fatal(err)
		}
	}
	if err := take(b[0], 30); !errors.Is(err, record.ErrQuota) || different(t, b...) != 16 {
		t.Errorf("beyond the quota: %v; %v and %v", err, b[0].taken(), b[1].taken())
	}
}

// A virtual device at a real bench is counted by that bench alone, as virtual ones are, and does
// not stop what the bench tells its site.
func TestVirtualDeviceTakesNoNumberOfTheSite(t *testing.T) {
	b := newSiteBench(t)
	b.file.Site.Offline = OfflineLease
	book, err := ledger.Open(b.file.Ledger, ledger.Options{Create: true, Station: b.file.ID})
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	s, err := OpenSite(b.file, book, func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	s.reached()
	if err := s.numbers.ready(t.Context(), record.Entry{Kind: record.NumberTaken, MAC: VirtualMAC(1), Job: "job", Simulated: true}); err != nil {
		t.Error(err)
	}
	if err := s.numbers.refill(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
