package station

import (
	"context"
	"errors"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/site"
)

// claimedAndLost is a bench whose power goes for good when it has got the names of the
// device's keys from the site, and before its ledger says so.
type claimedAndLost struct{ claims }

func (c claimedAndLost) Append(e record.Entry) (record.Entry, error) {
	if e.Kind == record.KeyAssigned {
		names, err := site.NamesOf(e)
		if err == nil {
			err = c.site.Claim(context.Background(), names)
		}
		return e, errors.Join(err, errCut)
	}
	return c.claims.Append(e)
}

var eve = site.Settled{Operator: "eve", Reason: "it burned down"}

// free wants the device to be freed, and to be that bench's again then.
func (b *siteLine) free(mac chip.MAC, owner string) {
	b.t.Helper()
	if got, err := b.folder.Free(b.t.Context(), mac, eve); err != nil || got != owner {
		b.t.Fatalf("%s is %q's again, %v; want %q", mac, got, err, owner)
	}
}

// notFreed wants a word why the device is not freed.
func (b *siteLine) notFreed(mac chip.MAC, by site.Settled, why string) {
	b.t.Helper()
	if _, err := b.folder.Free(b.t.Context(), mac, by); err == nil || !strings.Contains(err.Error(), why) {
		b.t.Errorf("%s: %v; want %q", mac, err, why)
	}
}

// heardFreed waits until the bench's ledger says who took the device from the lost bench.
func (b *siteLine) heardFreed(mac chip.MAC) {
	b.t.Helper()
	for {
		list, err := b.site.Ledger.History(mac)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, e := range list {
			if e.Kind == record.ConflictSettled && e.Operator == "eve" && e.Message == "taken from bench-2, which comes no more: it burned down" {
				return
			}
		}
		runtime.Gosched()
	}
}

// A bench that is lost had got one device, whose move it never told, and the names of
// another one: both stay its own until it is revoked and a person frees them. Then any bench
// takes them, and each ledger says who did it and why.
func TestFreedFromALostBench(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2", "bench-3")
	openBatch(b)
	moved, burned, claimed := b[0].cutBefore(1, record.BurnIntended), b[0].cutBefore(2, record.BurnIntended), b[1].chip(3)
	for _, device := range []*sim.Chip{moved, burned} {
		flowtest.WantVerdict(t, b[1].visitWith(device, lostAnswer{b[1].claims()}), record.Station, "E-LEDGER")
	}
	flowtest.WantVerdict(t, b[1].visitWith(claimed, claimedAndLost{b[1].claims()}), record.Station, "E-LEDGER")
	b[1].settled()
	b[1].stop()

	b[0].notFreed(VirtualMAC(1), eve, `if it never comes again, "station site revoke bench-2" first`)
	b[0].notFreed(VirtualMAC(9), eve, "knows no bench that has this device")
	if err := errors.Join(b[0].folder.Revoke("bench-2"), b[0].folder.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	b[0].notFreed(VirtualMAC(1), site.Settled{Operator: "eve"}, "who frees it, and why, is missing")
	fuses := moved.Fuses()
	flowtest.WantVerdict(t, b[2].visit(moved), record.Quarantine, record.ElsewhereCode)
	flowtest.WantVerdict(t, b[2].visit(claimed), record.Quarantine, "E-CLAIMED")
	if moved.Fuses() != fuses {
		t.Error("it was burned")
	}
	b[0].free(VirtualMAC(1), "bench-1")
	b[0].free(VirtualMAC(2), "bench-1")
	b[0].free(VirtualMAC(3), "")
	b[0].notFreed(VirtualMAC(1), eve, "the site has bench-1's ledger of it")
	for _, i := range []int{0, 2} {
		for n := 1; n <= 3; n++ {
			b[i].heardFreed(VirtualMAC(n))
		}
	}
	flowtest.WantVerdict(t, b[2].visit(moved), record.Pass, "")
	flowtest.WantVerdict(t, b[0].visit(burned), record.Pass, "") // the bench that had it
	if one, two := b[2].device(1).Moves, b[0].device(2).Moves; one != 1 || two != 0 {
		t.Errorf("they moved %d and %d times", one, two)
	}
	b[2].note(record.Entry{Kind: record.Released, MAC: VirtualMAC(3), Operator: "eve", Message: "it was freed"})
	flowtest.WantVerdict(t, b[2].visit(claimed), record.Pass, "")
	for _, i := range []int{0, 2} {
		b[i].settled()
	}
	noConflicts(t, b[0])
}

// What the site has of a lost bench's ledger needs no freeing: any bench takes the device from it.
func TestNothingToFree(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2")
	openBatch(b)
	device := b[0].cutBefore(1, record.BurnIntended)
	b[0].stop()
	if err := errors.Join(b[1].folder.Revoke("bench-1"), b[1].folder.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	b[1].notFreed(VirtualMAC(1), eve, "the site has bench-1's ledger of it: any bench takes it from there")
	flowtest.WantVerdict(t, b[1].visit(device), record.Pass, "")
}

// keptMove is a bench that gets a device from the site, and whose network goes for good then.
type keptMove struct {
	claims
	entry *record.Entry
}

func (c keptMove) Append(e record.Entry) (record.Entry, error) {
	if e.Kind == record.Moved {
		*c.entry = e
		return e, errors.Join(c.move(e), errCut)
	}
	return c.claims.Append(e)
}

// A bench that was lost, and comes back with another pass, had gone on with a device that was
// taken from it: that is a conflict, and nobody goes on with the device.
func TestLostBenchComesBack(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2", "bench-3")
	openBatch(b)
	device := b[0].cutBefore(1, record.BurnIntended)
	var moved record.Entry
	flowtest.WantVerdict(t, b[1].visitWith(device, keptMove{b[1].claims(), &moved}), record.Station, "E-LEDGER")
	b[1].stop()
	if err := errors.Join(b[0].folder.Revoke("bench-2"), b[0].folder.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	b[0].free(VirtualMAC(1), "bench-1")
	b[2].visitKind(device, record.BurnSettled)

	b[1].file.Site.Pass = filepath.Join(t.TempDir(), "pass")
	if err := errors.Join(b[0].folder.Add("bench-2", b[1].file.Site.Pass, false), b[0].folder.Apply(t.Context())); err != nil {
		t.Fatal(err)
	}
	b[1].start()
	b[1].note(moved)
	b[1].note(record.Entry{Kind: record.BurnIntended, MAC: VirtualMAC(1), Stage: "key"})
	for _, bench := range b {
		bench.conflicted(1, true)
	}
	flowtest.WantVerdict(t, b[2].visit(device), record.Quarantine, record.Conflicting)
}
