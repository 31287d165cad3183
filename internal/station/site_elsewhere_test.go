package station

import (
	"bytes"
	"errors"
	"testing"

	"station/internal/flow"
	"station/internal/flow/flowtest"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/sim"
	"station/internal/site"
)

// A device that one bench has sealed is known at every bench: it passes there too, or is
// refused under another job, as at its own; nothing is done to it, and the entry has what
// the site proves it by.
func TestSealedAtAnotherBench(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2")
	for _, bench := range b {
		bench.note(record.Entry{Kind: record.BatchOpened, Batch: "b", Operator: "anna"})
	}
	sealed := b[0].chip(1)
	begun := flowtest.NewChip(t, sim.Options{MAC: VirtualMAC(2), Faults: []sim.Fault{{Kind: sim.MuteApp}}})
	flowtest.WantVerdict(t, b[0].visit(sealed), record.Pass, "")
	flowtest.WantVerdict(t, b[0].visit(begun), record.Retry, "E-BOOT-MARKER")
	b[0].settled()
	fuses := sealed.Fuses()
	out := b[1].visit(sealed)
	if flowtest.WantVerdict(t, out, record.Pass, ""); !out.Already || sealed.Fuses() != fuses {
		t.Errorf("at another bench: %+v", out)
	}
	list, err := b[1].site.Ledger.History(VirtualMAC(1))
	admitted := list[len(list)-1]
	at, aboutErr := record.ReadAbout[record.Elsewhere](admitted)
	if err = errors.Join(err, aboutErr); err != nil || admitted.Decision != flow.DecisionSealed || at.Bench != "bench-1" || !ledger.SignedBy([]byte(at.Checkpoint), b[1].site.Pass.Witness) {
		t.Errorf("its last entry is %+v, %v", admitted, err)
	}
	flowtest.WantVerdict(t, b[1].visit(b[1].chip(1)), record.Quarantine, record.Stranger)
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
	flowtest.WantVerdict(t, b[1].visit(sealed), record.Quarantine, record.ElsewhereCode)
	siteBack(t, b...)
	b[1].up(true)
	flowtest.WantVerdict(t, b[1].visit(sealed), record.Pass, "")
	b[0].up(true)
	flowtest.WantVerdict(t, b[0].visit(begun), record.Pass, "") // its own bench goes on
	b[1].st.Under(t, `name = "station-example"`, `name = "other"`)
	flowtest.WantVerdict(t, b[1].visit(sealed), record.Quarantine, record.SealedOther)
}
