package main

import (
	"bytes"
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/hsm"
)

// A device that began at one bench and was sealed at another one is serviced at that one as
// any device is, by what its ledger says alone.
func TestRecoverMovedDevice(t *testing.T) {
	w := newWorkplace(t)
	w.product("small")
	w.siteProcess()
	const job, mac = "small/job.toml", "24:0a:c4:01:02:03"
	first := string(w.read("station.toml")) + "offline = \"stop\"\n"
	w.write("station.toml", first)
	out, _ := w.run(0, "job", "check", job)
	_, after, _ := strings.Cut(out, "plan digest  ")
	c := w.sim("--boot", "--mac", mac, "--flash-size", "1MB")
	gone := func(e flow.Event) { // before anything is burned
		if c.press(e); e.Event == flow.StepStarted && e.Step == "flash" {
			c.kill()
		}
	}
	w.seal(exitFailed, gone, "--job", job, "--port", c.address, "--approve", strings.Fields(after)[0], "--operator", "anna")
	w.run(0, "site", "push")

	w.run(0, "site", "add", "bench-2", "--out", "bench-2.pass")
	w.write("station.toml", strings.NewReplacer("bench-1", "bench-2", "ledger.db", "second.db").Replace(first))
	s := w.sealOne(job, mac)
	history, _ := w.run(0, "ledger", "show", mac)
	if !strings.Contains(history, `"kind":"device.moved"`) {
		t.Fatalf("it has not moved:\n%s", history)
	}
	officer, _ := w.officer()
	args := []string{"key", "recover", mac, "--operator", "eve", "--reason", "RMA 4711"}
	w.run(0, append(args, "--job", job, "--out", "images")...)
	w.checkImages("images", s)
	w.run(0, append(args, "--to", "officer.pem", "--out", "wrapped")...)
	key, err := hsm.OpenEscrow(officer, w.keyID(mac), w.read("wrapped"))
	if err != nil {
		t.Fatal(err)
	}
	defer key.Destroy()
	if !bytes.Equal(key.Reveal(), s.key) {
		t.Error("the wrapped key is not the device's")
	}
	w.run(0, "ledger", "verify", "--site", "site/witness.pem")
	w.searchFor(s.keyInFuses)
}
