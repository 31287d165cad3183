package station

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/site"
	"station/internal/site/hub"
	"station/internal/site/outbox"
)

// siteLine is a bench of a site with a job and a token: it makes devices of batch b.
type siteLine struct {
	*siteBench
	t    *testing.T
	st   *station
	site *Site
}

// lines are benches of one site, of which each has opened the batch.
func lines(t *testing.T, offline Offline, numbers, quota int, ids ...string) (list []*siteLine) {
	t.Helper()
	first := newSiteBench(t)
	first.file.Site.Offline, first.file.Site.Numbers = offline, numbers
	st := stationOf(t)
	for i, id := range ids {
		b := &siteLine{siteBench: first, t: t, st: st}
		if i > 0 {
			b.siteBench = first.another(t, id)
		}
		b.start()
		if quota > 0 {
			b.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Quota: quota, Operator: "anna"})
		}
		list = append(list, b)
	}
	return list
}

func (b *siteLine) note(e record.Entry) {
	b.t.Helper()
	e.Simulated = true
	if _, err := b.site.Ledger.Append(e); err != nil {
		b.t.Fatal(err)
	}
}

// start opens the bench, as the program does.
func (b *siteLine) start() {
	b.t.Helper()
	b.site = b.open(b.t)
	b.site.Again = time.Millisecond
	b.site.numbers.lot(record.Entry{Batch: "b", Simulated: true})
	b.site.Start()
	<-b.site.word
	b.t.Cleanup(b.stop)
}

// stop ends the bench where it stands.
func (b *siteLine) stop() {
	b.t.Helper()
	if b.site == nil {
		return
	}
	for f := range b.site.Ledger.Check(nil) {
		b.t.Errorf("%s: ledger: %v", b.file.ID, f)
	}
	if err := errors.Join(b.site.Close(), b.site.Ledger.Close()); err != nil {
		b.t.Error(err)
	}
	b.site = nil
}

func (b *siteLine) restart() { b.stop(); b.start() }

// up waits until the site is there, or is not.
func (b *siteLine) up(is bool) {
	for (b.site.Status().State == outbox.Up) != is {
		runtime.Gosched()
	}
}

// visit puts a chip into the slot once.
func (b *siteLine) visit(chip *sim.Chip) flow.Outcome {
	b.t.Helper()
	wire, err := chip.Open()
	if err != nil {
		b.t.Fatal(err)
	}
	r := b.st.runner()
	r.Ledger, r.Batch, r.Numbered, r.Station = claims{b.site.Ledger, b.site}, "b", b.site.offline == OfflineLease, b.file.ID
	return r.Device(b.t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{}))
}

func (b *siteLine) chip(n int) *sim.Chip { return newChip(b.t, sim.Options{MAC: VirtualMAC(n)}) }

// taken are the site's numbers that the bench has given to devices.
func (b *siteLine) taken() (list []int) {
	b.t.Helper()
	for e, err := range b.site.Ledger.Entries(0) {
		if err != nil {
			b.t.Fatal(err)
		}
		if e.Kind != record.NumberTaken {
			continue
		}
		n, err := record.ReadAbout[record.Numbered](e)
		if err != nil {
			b.t.Fatal(err)
		}
		list = append(list, n.Site)
	}
	return list
}

// different fails where a number was given twice, and counts them.
func different(t *testing.T, benches ...*siteLine) int {
	t.Helper()
	var all []int
	for _, b := range benches {
		all = append(all, b.taken()...)
	}
	slices.Sort(all)
	if len(slices.Compact(slices.Clone(all))) != len(all) {
		t.Errorf("numbers were given twice: %v", all)
	}
	return len(all)
}

// siteBack starts the site again at the address that it had.
func siteBack(t *testing.T, benches ...*siteLine) {
	t.Helper()
	first := benches[0].siteBench
	first.folder.Listen = first.folder.URL[len("tls://"):]
	server, err := first.folder.Start(t.Context(), func(text string) { t.Log(text) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	for _, b := range benches {
		b.server = server
	}
}

// take takes a number for device n, as the step key does.
func (b *siteLine) take(n int) (flow.Code, error) {
	_, err := (claims{b.site.Ledger, b.site}).Reserve(record.Entry{Batch: "b", MAC: VirtualMAC(n), JobHash: b.st.job.Digest(), Simulated: true})
	if err != nil {
		return flow.FailureFrom(err).Code, err
	}
	return "", nil
}

// Benches share the quota of a batch: no number is given twice, and no device is made
// too many, whether a bench may work without the site or not.
func TestQuotaOfASite(t *testing.T) {
	for _, offline := range []Offline{OfflineStop, OfflineLease} {
		t.Run(string(offline), func(t *testing.T) {
			b := lines(t, offline, 2, 5, "bench-1", "bench-2")
			wantVerdict(t, b[0].visit(b[0].chip(0)), record.Pass, "")
			took := 1
			for n := range 8 {
				if code, err := b[n%2].take(1 + n); err == nil {
					took++
				} else if code != "E-QUOTA" {
					t.Fatal(err)
				}
			}
			beyond := b[1].chip(20)
			factory := beyond.Fuses()
			wantVerdict(t, b[1].visit(beyond), record.Station, "E-QUOTA")
			if took != 5 || different(t, b...) != 5 || beyond.Fuses() != factory {
				t.Errorf("%d numbers of 5 were taken, %v and %v", took, b[0].taken(), b[1].taken())
			}
			amended := record.Entry{Kind: record.BatchAmended, Batch: "b", Quota: 6, Operator: "anna", Message: "one more was ordered"}
			b[0].note(amended)
			if code, err := b[0].take(21); code != "E-QUOTA" || !strings.Contains(err.Error(), "5 devices, as bench-2 says") {
				t.Errorf("amended at one bench: %v", err)
			}
			b[1].note(amended)
			if _, err := b[1].take(21); err != nil {
				t.Error(err)
			}
			if code, err := b[0].take(22); code != "E-QUOTA" {
				t.Errorf("behind the quota: %v", err)
			}
			if err := errors.Join(b[0].folder.Revoke("bench-2"), b[0].folder.Apply(t.Context())); err != nil {
				t.Fatal(err)
			}
			amended.Quota = 7
			b[0].note(amended)
			if _, err := b[0].take(22); err != nil {
				t.Errorf("what a bench says that was put out does not count: %v", err)
			}
			if different(t, b...) != 7 {
				t.Errorf("numbers %v and %v", b[0].taken(), b[1].taken())
			}
		})
	}
}

// With numbers in hand a bench works without its site, and for no device more; when the
// site is back it goes on by itself, and what it claimed meanwhile is settled.
func TestLeaseWithoutTheSite(t *testing.T) {
	b := lines(t, OfflineLease, 3, 0, "bench-1")[0]
	b.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "anna"}) // without a quota
	wantVerdict(t, b.visit(b.chip(0)), record.Pass, "")
	b.server.Close()
	b.up(false)
	b.restart() // a start without the site changes nothing
	n := 1
	for left := b.site.numbers.left(); left > 0; left = b.site.numbers.left() {
		if err := b.site.Healthy(); err != nil {
			t.Fatal(err)
		}
		if h := b.site.Health(); h.OK || h.Words != fmt.Sprintf("away, %d numbers left", left) {
			t.Errorf("its health is %+v", h)
		}
		wantVerdict(t, b.visit(b.chip(n)), record.Pass, "")
		n++
	}
	if n < 3 {
		t.Errorf("only %d devices were made with a lease of 3", n)
	}
	late := b.chip(n)
	factory := late.Fuses()
	wantVerdict(t, b.visit(late), record.Station, "E-SITE")
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
	wantVerdict(t, b.visit(late), record.Pass, "")
	if different(t, b) != n+1 {
		t.Errorf("numbers %v", b.taken())
	}
	b.settled()
	other := &siteLine{siteBench: b.another(t, "bench-2"), t: t, st: b.st}
	other.start()
	other.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "anna"})
	wantVerdict(t, other.visit(b.chip(1)), record.Quarantine, record.Stranger) // a blank chip with that MAC
}

// settled waits until the site has read all that the bench's ledger has.
func (b *siteLine) settled() {
	b.t.Helper()
	for {
		size, _, err := b.site.Ledger.Head()
		list, listErr := b.folder.List(b.t.Context())
		if err = errors.Join(err, listErr); err != nil {
			b.t.Fatal(err)
		}
		for _, s := range list {
			if s.Bench == b.file.ID && s.Settled >= size {
				return
			}
		}
	}
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
			b[0].up(true)
			b[1].up(true)
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

// key gives device n a key without a word to the site.
func (b *siteLine) key(n int, id string) {
	b.t.Helper()
	b.note(record.Entry{Kind: record.KeyAssigned, MAC: VirtualMAC(n), Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "derived"}}})
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
		wantVerdict(t, b[2].visit(chip), record.Quarantine, record.Conflicting)
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

// A device that one bench has sealed is known at every bench: it passes there too, or is
// refused under another job, as at its own; nothing is done to it, and the entry has what
// the site proves it by. One that was begun goes on only where it was begun.
func TestSealedAtAnotherBench(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2")
	for _, bench := range b {
		bench.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "anna"})
	}
	sealed := b[0].chip(1)
	begun := newChip(t, sim.Options{MAC: VirtualMAC(2), Faults: faults(sim.Fault{Kind: sim.MuteApp})})
	wantVerdict(t, b[0].visit(sealed), record.Pass, "")
	wantVerdict(t, b[0].visit(begun), record.Retry, "E-BOOT-MARKER")
	b[0].settled()
	fuses := sealed.Fuses()
	out := b[1].visit(sealed)
	if wantVerdict(t, out, record.Pass, ""); !out.Already || sealed.Fuses() != fuses {
		t.Errorf("at another bench: %+v", out)
	}
	list, err := b[1].site.Ledger.History(VirtualMAC(1))
	admitted := list[len(list)-1]
	at, aboutErr := record.ReadAbout[record.Elsewhere](admitted)
	if err = errors.Join(err, aboutErr); err != nil || admitted.Decision != flow.DecisionSealed || at.Bench != "bench-1" || !ledger.SignedBy([]byte(at.Checkpoint), b[1].site.Pass.Witness) {
		t.Errorf("its last entry is %+v, %v", admitted, err)
	}
	wantVerdict(t, b[1].visit(b[1].chip(1)), record.Quarantine, record.Stranger)
	wantVerdict(t, b[1].visit(begun), record.Quarantine, record.ElsewhereCode)
	known, err := b[1].site.Sought(t.Context(), site.Sought{MAC: VirtualMAC(1), Simulated: true})
	if err != nil {
		t.Fatal(err)
	}
	for text, other := range map[string]string{`"device.sealed"`: `"device.weighed"`, VirtualMAC(1).String(): VirtualMAC(3).String(), "station-ledger/": "station-ledgez/"} {
		lie := *known
		lie.Proof = bytes.ReplaceAll(lie.Proof, []byte(text), []byte(other))
		if _, _, err := b[1].site.proved(VirtualMAC(1), &lie, record.Device{}); err == nil {
			t.Errorf("%q in place of %q was believed", other, text)
		}
	}
	if _, _, err := b[1].site.proved(VirtualMAC(3), known, record.Device{}); err == nil {
		t.Error("the proof of another device was believed")
	}

	b[0].server.Close() // while it is away nobody knows
	b[1].up(false)
	wantVerdict(t, b[1].visit(sealed), record.Quarantine, record.ElsewhereCode)
	siteBack(t, b...)
	b[1].up(true)
	wantVerdict(t, b[1].visit(sealed), record.Pass, "")
	b[0].up(true)
	wantVerdict(t, b[0].visit(begun), record.Pass, "") // its own bench goes on
	b[1].st.under(t, `name = "station-example"`, `name = "other"`)
	wantVerdict(t, b[1].visit(sealed), record.Quarantine, record.SealedOther)
}

// Slots that want the last number at the same instant each get one while there are any.
func TestSlotsShareNumbers(t *testing.T) {
	b := lines(t, OfflineStop, 0, 8, "bench-1")[0]
	answers := make(chan error, 9)
	for n := range 9 {
		go func() { _, err := b.take(n); answers <- err }()
	}
	full := 0
	for range 9 {
		if err := <-answers; errors.Is(err, record.ErrQuota) {
			full++
		} else if err != nil {
			t.Error(err)
		}
	}
	if full != 1 || different(t, b) != 8 {
		t.Errorf("%d were refused; numbers %v", full, b.taken())
	}
}
