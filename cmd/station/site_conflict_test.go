package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
	"station/internal/site"
	"station/internal/site/outbox"
)

// oneOfABatch is the ledger of a bench that has made the one device of a batch, and has sent it.
func (w *workplace) oneOfABatch(bench, batch string, mac chip.MAC) {
	w.t.Helper()
	pass, err := site.ReadPass(filepath.Join(w.dir, bench+".pass"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer pass.Destroy()
	book, err := ledger.Open(filepath.Join(w.dir, bench+".db"), ledger.Options{Create: true, Station: bench})
	if err != nil {
		w.t.Fatal(err)
	}
	defer book.Close()
	add := func(e record.Entry) {
		w.t.Helper()
		e.Batch, e.Job, e.MAC = batch, "lamp", mac
		if e.Kind == record.BatchOpened || e.Kind == record.BatchClosed {
			e.Operator, e.MAC = "anna", chip.MAC{}
		}
		if _, err := book.Append(e); err != nil {
			w.t.Fatal(err)
		}
	}
	add(record.Entry{Kind: record.BatchOpened, Quota: 1})
	if _, err := book.Reserve(record.Entry{MAC: mac, Batch: batch, Job: "lamp"}); err != nil {
		w.t.Fatal(err)
	}
	add(record.Entry{Kind: record.SerialBound, Serial: "SN1"})
	add(record.Entry{Kind: record.KeyAssigned, Keys: []record.Key{{Purpose: chip.FlashEncryption, ID: "derived:m:" + mac.String(), Policy: "derived"}}})
	add(record.Entry{Kind: record.Sealed, Verdict: record.Pass})
	add(record.Entry{Kind: record.BatchClosed})
	o := &outbox.Outbox{Pass: pass, Ledger: book, Notice: func(site.Notice) error { return nil }}
	if _, err := o.Push(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// The site certifies no batch with a device that it knows to be in a conflict, also where no
// ledger of the batch has heard of it, and whether it runs or not.
func TestNoCertificateOfAConflict(t *testing.T) {
	w := &workplace{t: t, dir: t.TempDir(), bin: install(t)}
	w.write("station.toml", "id = \"bench-1\"\n")
	cmd := w.siteProcess()
	w.run(0, "site", "add", "bench-2", "--out", "bench-2.pass")
	one, two := chip.MAC{0x24, 0x0a, 0xc4, 0, 0, 1}, chip.MAC{0x24, 0x0a, 0xc4, 0, 0, 2}
	w.oneOfABatch("bench-1", "b1", one)
	w.run(0, "site", "batch", "b1", "--certificate", "before", "--operator", "anna")
	w.oneOfABatch("bench-2", "b2", two)
	refused := func(batch string, mac chip.MAC) {
		t.Helper()
		if _, said := w.run(exitFailed, "site", "batch", batch, "--certificate", batch+".certificate", "--operator", "anna"); !strings.Contains(said, "nobody has settled: "+mac.String()) {
			t.Errorf("%s: %s", batch, said)
		}
	}
	refused("b1", one)
	refused("b2", two)
	w.run(0, "site", "settle", one.String(), "--operator", "eve", "--reason", "the other is scrap")
	w.run(0, "site", "batch", "b1", "--certificate", "after", "--operator", "anna")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	refused("b2", two)
	w.run(0, "site", "batch", "b2", "--certificate", "anyway", "--operator", "anna", "--anyway", "the customer knows")
}
