package station

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"station/internal/flow/flowtest"
	"station/internal/record"
	"station/internal/site/hub"
	"station/internal/site/outbox"
)

// A device of a bench whose ledger the site refuses goes nowhere: nothing is burned at
// another bench, which says whose it is and why, until a person has explained it.
func TestDeviceOfAHaltedBench(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2")
	openBatch(b)
	b[0].settled()
	b[0].stop()
	older, err := os.ReadFile(b[0].file.Ledger)
	if err != nil {
		t.Fatal(err)
	}
	b[0].start()
	device := b[0].cutBefore(1, record.BurnIntended)
	b[0].stop()
	right, err := os.ReadFile(b[0].file.Ledger)
	if err == nil {
		err = os.WriteFile(b[0].file.Ledger, older, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	b[0].start()
	for b[0].site.Status().State != outbox.Halted {
		runtime.Gosched()
	}
	fuses := device.Fuses()
	out := b[1].visit(device)
	flowtest.WantVerdict(t, out, record.Quarantine, record.ElsewhereCode)
	if text := out.Failure.Error(); device.Fuses() != fuses || !strings.Contains(text, "the site refuses the ledger of bench-1") || !strings.Contains(text, "it was set back") {
		t.Errorf("refused as %s", text)
	}
	b[0].stop()
	if err := os.WriteFile(b[0].file.Ledger, right, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b[1].folder.Release(t.Context(), "bench-1", hub.Release{Operator: "eve", Reason: "the right one is back"}); err != nil {
		t.Fatal(err)
	}
	b[0].start()
	b[0].settled()
	flowtest.WantVerdict(t, b[1].visit(device), record.Pass, "")
	noConflicts(t, b[1])
}

// A bench whose pass has another key, or another CA, than the site says what is missing, and
// does nothing to a device of another bench.
func TestPassOfAnotherSite(t *testing.T) {
	b := lines(t, OfflineLease, 9, 0, "bench-1", "bench-2")
	openBatch(b)
	device := b[0].cutBefore(1, record.BurnIntended)
	other := newSiteBench(t).passOf(t)
	fuses := device.Fuses()
	pass := b[1].passOf(t)
	right := pass.Witness
	again := func() {
		b[1].stop()
		if err := pass.Renew(b[1].file.Site.Pass); err != nil {
			t.Fatal(err)
		}
		b[1].start()
	}
	pass.Witness = other.Witness
	again()
	out := b[1].visit(device)
	if text := out.Failure.Error(); out.Verdict == record.Pass || device.Fuses() != fuses || !strings.Contains(text, "the site signs with another key than the pass has") {
		t.Errorf("with another key: %s, %s", out.Verdict, text)
	}
	pass.Witness, pass.CAs = right, other.CAs
	again()
	if now := b[1].site.Status(); now.State != outbox.Away || now.Err == nil || !strings.Contains(now.Err.Error(), "let \"station site add\" make another pass") {
		t.Errorf("with another CA: %+v", now)
	}
}
