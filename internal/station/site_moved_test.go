package station

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"station/internal/chip"
	"station/internal/esploader"
	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/racetest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/site"
	"station/internal/site/hub"
)

// cutLedger is a bench whose power goes before its n-th entry.
type cutLedger struct {
	claims
	left int
}

var errCut = errors.New("the power went")

func (c *cutLedger) Append(e record.Entry) (record.Entry, error) {
	if c.left--; c.left < 0 {
		return e, errCut
	}
	return c.claims.Append(e)
}

// visitWith is a visit at the bench with something in front of its ledger.
func (b *siteLine) visitWith(device *sim.Chip, book flow.Ledger) flow.Outcome {
	b.t.Helper()
	wire, err := device.Open()
	if err != nil {
		b.t.Fatal(err)
	}
	r := b.st.Runner()
	r.Ledger, r.Batch, r.Numbered, r.Station = book, "b", b.site.offline == OfflineLease, b.file.ID
	return r.Device(b.t.Context(), "1", "sim://1", esploader.New(wire, esploader.Options{}))
}

func (b *siteLine) claims() claims { return claims{b.site.Ledger, b.site} }

// visitCut is a visit at a bench whose power goes before the n-th entry.
func (b *siteLine) visitCut(device *sim.Chip, n int) flow.Outcome {
	return b.visitWith(device, &cutLedger{b.claims(), n})
}

// openBatch opens batch b at all benches.
func openBatch(benches []*siteLine) {
	for _, b := range benches {
		b.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "anna"})
	}
}

// device is the device as the bench's ledger has it.
func (b *siteLine) device(n int) record.Device {
	b.t.Helper()
	d, _, err := b.site.Ledger.Device(VirtualMAC(n))
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

// noConflicts fails where the site has found any, or its copies are not whole.
func noConflicts(t *testing.T, b *siteLine) {
	t.Helper()
	list, err := b.folder.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		if len(s.Conflicts) > 0 || s.Halt != nil {
			t.Errorf("%s: conflicts %+v, halt %v", s.Bench, s.Conflicts, s.Halt)
		}
		if v, err := b.folder.Verify(t.Context(), s.Bench); err != nil || len(v.Faults) > 0 {
			t.Errorf("%s: the copy: %v, %v", s.Bench, v.Faults, err)
		}
	}
}

// Wherever the power of a bench goes while it makes a device, another bench with the same
// keys finishes it: with the same key, both ledgers whole, no conflict at the site, and
// known at the first bench as the second one's.
func TestResumedAtAnotherBench(t *testing.T) {
	b := lines(t, OfflineLease, 60, 0, "bench-1", "bench-2")
	openBatch(b)
	step, all := 2, 0
	if racetest.Enabled {
		step = 5
	}
	moved := 0
	for n := 1; ; n, all = n+step, all+1 {
		device := b[0].chip(n)
		if b[0].visitCut(device, n).Verdict == record.Pass {
			break
		}
		b[0].settled()
		begun := b[0].device(n)
		flowtest.WantVerdict(t, b[1].visit(device), record.Pass, "")
		sealed := b[1].device(n)
		if !sealed.Sealed || len(begun.Keys) > 0 && sealed.FlashKey().ID != begun.FlashKey().ID {
			t.Errorf("cut %d: begun as %+v, sealed as %+v", n, begun, sealed)
		}
		if len(begun.Keys) > 0 {
			if moved++; sealed.Moves != 1 || len(sealed.Numbers) != 1 {
				t.Errorf("cut %d: it moved %d times, and has the numbers %v", n, sealed.Moves, sealed.Numbers)
			}
		}
		b[1].settled()
		fuses := device.Fuses()
		if out := b[0].visit(device); !out.Already || device.Fuses() != fuses {
			t.Errorf("cut %d: back at the first bench: %+v", n, out)
		}
	}
	if moved < all/2 || moved == 0 {
		t.Errorf("only %d devices of %d moved", moved, all)
	}
	noConflicts(t, b[0])
	different(t, b...)
}

// cutBefore is a device whose bench's power goes before an entry of this kind.
func (b *siteLine) cutBefore(n int, kind record.Kind) *sim.Chip {
	b.t.Helper()
	device := b.chip(n)
	b.visitKind(device, kind)
	return device
}

// cutKind is a bench whose power goes before the first entry of a kind.
type cutKind struct {
	claims
	kind record.Kind
	off  bool
}

func (c *cutKind) Append(e record.Entry) (record.Entry, error) {
	if c.off = c.off || e.Kind == c.kind; c.off {
		return e, errCut
	}
	return c.claims.Append(e)
}

// A bench whose token does not give the device's key refuses it, and says so: nothing is
// burned, and the device stays where it is.
func TestNotResumedWithoutItsKey(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2")
	openBatch(b)
	for n, id := range []string{"derived:another:0011223344556677", "derived:" + flowtest.Master + ":0011223344556677"} {
		b[0].note(record.Entry{Kind: record.KeyAssigned, MAC: VirtualMAC(n), Job: b[0].st.Job.Name, JobHash: b[0].st.Job.Digest(), Batch: "b",
			Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: id, Policy: "derived"}}})
		b[0].settled()
		device := b[1].chip(n)
		factory := device.Fuses()
		out := b[1].visit(device)
		flowtest.WantVerdict(t, out, record.Quarantine, record.ElsewhereCode)
		if !strings.Contains(out.Failure.Error(), "bench-1 began it, and the token of this station does not have its key") || device.Fuses() != factory {
			t.Errorf("%s: refused as %v", id, out.Failure)
		}
		if d := b[1].device(n); d.Moves > 0 || d.SetAside {
			t.Errorf("%s: %+v", id, d)
		}
	}
	b[1].settled()
	noConflicts(t, b[0])
}

// A device that moved comes back in the same way, and its bench does not go on with it
// before; in whatever order a site that lost its copies reads the ledgers again, the device
// is whose it was, and nothing is a conflict.
func TestMovedBackAndRebuilt(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2")
	openBatch(b)
	there := b[0].cutBefore(1, record.BurnSettled)
	b[1].visitKind(there, record.BootVerified)
	back := b[0].cutBefore(2, record.BurnIntended)
	b[1].visitKind(back, record.BurnSettled)
	b[0].visitKind(back, record.Sealed)
	if there, back := b[1].device(1).Moves, b[0].device(2).Moves; there != 1 || back != 2 {
		t.Errorf("they moved %d and %d times", there, back)
	}
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		rebuilt(t, b, order...)
		noConflicts(t, b[0])
	}
	flowtest.WantVerdict(t, b[0].visit(there), record.Pass, "")
	flowtest.WantVerdict(t, b[1].visit(back), record.Pass, "")
	if a, b := b[0].device(1).Moves, b[1].device(2).Moves; a != 2 || b != 3 {
		t.Errorf("they moved %d and %d times", a, b)
	}
	noConflicts(t, b[0])
}

// rebuilt is a site that lost its copies, and reads the ledgers again in this order.
func rebuilt(t *testing.T, b []*siteLine, order ...int) {
	t.Helper()
	b[0].server.Close()
	for _, bench := range b {
		bench.stop()
	}
	if err := os.RemoveAll(filepath.Join(b[0].folder.Dir, "jetstream")); err != nil {
		t.Fatal(err)
	}
	siteBack(t, b...)
	for _, i := range order {
		b[i].start()
		b[i].settled()
	}
}

// visitKind is a visit at a bench whose power goes before an entry of this kind.
func (b *siteLine) visitKind(device *sim.Chip, kind record.Kind) {
	b.t.Helper()
	flowtest.WantVerdict(b.t, b.visitWith(device, &cutKind{claims: b.claims(), kind: kind}), record.Station, "E-LEDGER")
	b.settled()
}

// lostAnswer is a bench that gets the device from the site, and whose power goes before
// the entry.
type lostAnswer struct{ claims }

func (c lostAnswer) Append(e record.Entry) (record.Entry, error) {
	if e.Kind == record.Moved {
		if err := c.move(e); err != nil {
			return e, err
		}
		return e, errCut
	}
	return c.claims.Append(e)
}

// A device that the site has given to a bench, which was cut off before it wrote that down,
// is taken by no other bench, not even by the one that had it; the next try at its own ends well,
// also where the site was started again.
func TestMoveCutOff(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2", "bench-3")
	openBatch(b)
	device := b[0].cutBefore(1, record.BurnIntended)
	flowtest.WantVerdict(t, b[1].visitWith(device, lostAnswer{b[1].claims()}), record.Station, "E-LEDGER")
	b[0].server.Close()
	siteBack(t, b...)
	for _, bench := range b {
		bench.up(true)
		bench.settled()
	}
	fuses := device.Fuses()
	for _, i := range []int{2, 0} {
		flowtest.WantVerdict(t, b[i].visit(device), record.Quarantine, record.ElsewhereCode)
	}
	if device.Fuses() != fuses {
		t.Error("it was burned")
	}
	flowtest.WantVerdict(t, b[1].visit(device), record.Pass, "")
	if d := b[1].device(1); d.Moves != 1 {
		t.Errorf("it has moved %d times", d.Moves)
	}
	noConflicts(t, b[0])
}

// Of two benches that want a device at the same instant one gets it.
func TestOneOfTwoGetsIt(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2", "bench-3")
	openBatch(b)
	b[0].cutBefore(1, record.BurnIntended)
	e := record.Entry{Kind: record.Moved, MAC: VirtualMAC(1), Simulated: true, Batch: "b"}
	d, _, err := b[1].claims().Whose(VirtualMAC(1))
	if err != nil || d.Elsewhere == nil || d.Elsewhere.Proof == nil {
		t.Fatal(d.Elsewhere, err)
	}
	e.About = record.AboutOf(record.Move{From: "bench-1", Proof: d.Elsewhere.Proof})
	taken := new(site.Taken)
	if err := b[1].site.Move(t.Context(), site.Moving{MAC: VirtualMAC(1), Simulated: true, From: "bench-1", Size: 2}); !errors.As(err, &taken) || taken.Bench != "bench-1" {
		t.Errorf("a device of which the site has more than was proved: %v", err)
	}
	var got [2]error
	var both sync.WaitGroup
	for i := range got {
		both.Go(func() { _, got[i] = b[1+i].claims().Append(e) })
	}
	both.Wait()
	i := slices.Index(got[:], nil)
	if i < 0 || got[1-i] == nil || flow.FailureFrom(got[1-i]).Code != record.ElsewhereCode {
		t.Fatalf("they got %v", got)
	}
	b[1+i].settled()
	noConflicts(t, b[0])
}

// Who went on with a device that he had given away, while the site was away, is found: the
// device is in quarantine at both benches. A site that lost its copies finds it again.
func TestWentOnAfterItMoved(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2")
	openBatch(b)
	device := b[0].cutBefore(1, record.BurnIntended)
	b[1].visitKind(device, record.BurnSettled)
	b[0].note(record.Entry{Kind: record.BurnIntended, MAC: VirtualMAC(1), Stage: "key"})
	for _, bench := range b {
		bench.conflicted(1, true)
	}
	flowtest.WantVerdict(t, b[1].visit(device), record.Quarantine, record.Conflicting)
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		rebuilt(t, b, order...)
		list, err := b[0].folder.List(t.Context())
		if err != nil || !slices.ContainsFunc(list, func(s hub.Status) bool { return len(s.Conflicts) > 0 }) {
			t.Errorf("read again in the order %v: no conflict, %v", order, err)
		}
	}
}

// While the site is away nobody can say whether a device has moved: a bench that stops then
// does not go on with its own one, and one with numbers in hand does.
func TestBegunDeviceWhileTheSiteIsAway(t *testing.T) {
	for offline, want := range map[Offline]record.Verdict{OfflineStop: record.Station, OfflineLease: record.Pass} {
		t.Run(string(offline), func(t *testing.T) {
			b := lines(t, offline, 9, 0, "bench-1")
			openBatch(b)
			device := b[0].cutBefore(1, record.BurnIntended)
			b[0].server.Close()
			b[0].up(false)
			fuses := device.Fuses()
			out := b[0].visit(device)
			if out.Verdict != want || want == record.Station && (out.Failure.Code != "E-SITE" || device.Fuses() != fuses) {
				t.Errorf("%+v", out)
			}
		})
	}
}
