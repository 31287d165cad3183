package main

import (
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/record"
	"station/internal/site/outbox"
)

// A site that is killed while entries come, and started again, has lost nothing that it
// acknowledged, has nothing twice, and goes on: the bench proves at each contact that
// its ledger begins with what is there.
func TestSiteKilled(t *testing.T) {
	w := &workplace{t: t, dir: t.TempDir(), bin: install(t)}
	t.Setenv("GORACE", "atexit_sleep_ms=0")
	w.write("station.toml", "id = \"bench-1\"\n")
	cmd := w.siteProcess()
	pass, book := w.benchOfSite()
	var list []record.Entry
	for n := range 6000 {
		list = append(list, record.Entry{Kind: record.DeviceSeen, MAC: chip.MAC{2, 0, 0, 0, byte(n >> 8), byte(n)}, Simulated: true})
	}
	if _, err := book.AppendAll(list); err != nil {
		t.Fatal(err)
	}
	o := &outbox.Outbox{Pass: pass, Ledger: book}
	acknowledged := uint64(0)
	for _, at := range []uint64{1000, 3000, 5000} {
		o.Told = func(s outbox.Status) {
			acknowledged = max(acknowledged, s.Mirrored)
			if s.Mirrored >= at {
				_ = cmd.Process.Kill()
			}
		}
		if _, err := o.Push(t.Context()); err == nil {
			t.Fatalf("the site was killed at %d entries, and all are there", at)
		}
		_ = cmd.Wait()
		cmd = w.command("site", "run")
		line := firstWords(t, cmd, "site plant-1 at 127.0.0.1:")
		_, address, _ := strings.Cut(strings.TrimSpace(line), " at ")
		pass.URL = "tls://" + address
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	first := true
	o.Told = func(s outbox.Status) {
		if first && s.State == outbox.Up && s.Mirrored < acknowledged {
			t.Errorf("%d entries were acknowledged, %d are there", acknowledged, s.Mirrored)
		}
		first = first && s.State != outbox.Up
	}
	now, err := o.Push(t.Context())
	if err != nil || now.Mirrored != 6001 {
		t.Fatalf("in the end: %+v, %v", now, err)
	}
	if out, _ := w.run(0, "site", "verify", "bench-1"); !strings.Contains(out, "is whole: 6001 entries") {
		t.Errorf("verify says %s", out)
	}
}
