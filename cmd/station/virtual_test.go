package main

import (
	"context"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"station/internal/chip"
	"station/internal/sim"
)

// A chip of which nobody can tell whether it is real, since it has the MAC of a
// virtual one and does not say that it is one: probe says so, a line sets it aside,
// and it counts nowhere.
func TestAChipOfWhichNobodyCanTell(t *testing.T) {
	const mac = "02:00:00:00:00:99"
	w := newWorkplace(t)
	w.run(0, "batch", "open", "b1", "--devices", "1", "--job", "example/job.toml", "--operator", "anna")
	c, err := sim.New(sim.Options{MAC: chip.MAC{2, 5: 0x99}, Real: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, unplug := context.WithCancel(t.Context())
	var serving sync.WaitGroup
	serving.Go(func() { _ = c.ServeRFC2217(ctx, l) })
	defer serving.Wait()
	defer unplug()
	port := "rfc2217://" + l.Addr().String()
	if out, _ := w.run(0, "probe", "--port", port, "--job", "example/job.toml"); !strings.Contains(out, "SIMULATED     perhaps: ") || !strings.Contains(out, "E-VIRTUAL") {
		t.Errorf("probe: %s", out)
	}
	out, _ := w.run(exitFailed, "run", "--headless", "--once", "--job", "example/job.toml", "--batch", "b1", "--port", port, "--approve", w.approval(), "--operator", "anna")
	if !strings.Contains(out, `"event":"device.quarantined"`) || !strings.Contains(out, `"code":"E-VIRTUAL"`) {
		t.Errorf("run: %s", out)
	}
	out, _ = w.run(0, "ledger", "show", mac)
	if !strings.Contains(out, `"code":"E-VIRTUAL"`) || strings.Contains(out, "number.taken") || strings.Contains(out, "key.assigned") || strings.Contains(out, "burn.") {
		t.Errorf("ledger show: %s", out)
	}
	account, _ := w.run(0, "batch", "show", "b1", "--json")
	for _, name := range []string{"numbers", "started", "passed", "quarantined"} {
		if !strings.Contains(account, `"`+name+`": 0`) || strings.Contains(account, `"refused"`) { // which is left out where it is none
			t.Errorf("the batch counts it as %s or refused: %s", name, account)
		}
	}
	for args, code := range map[string]int{"ledger export --verdict PASS": exitFailed, "ledger export --batch b1": exitFailed, "ledger report --batch b1": 0} {
		if out, _ := w.run(code, strings.Fields(args)...); strings.Contains(out, mac) {
			t.Errorf("%s tells it: %s", args, out)
		}
	}
	for _, args := range []string{"ledger list", "ledger export", "ledger report"} {
		if out, _ := w.run(0, strings.Fields(args)...); !strings.Contains(out, "QUARANTINE") || !strings.Contains(out, "E-VIRTUAL") || !strings.Contains(out, mac) {
			t.Errorf("%s: %s", args, out)
		}
	}
	w.run(exitFailed, "label", mac, "--operator", "anna", "--out", filepath.Join(w.dir, "label.zpl"))
	w.run(0, "ledger", "verify")
}
