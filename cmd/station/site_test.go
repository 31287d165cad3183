package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/ledger"
	"station/internal/site"
	"station/internal/site/hub"
)

// benchOfSite is bench-1 of the site in the workplace: its pass, and a new ledger.
func (w *workplace) benchOfSite() (*site.Pass, *ledger.Ledger) {
	w.t.Helper()
	pass, err := site.ReadPass(filepath.Join(w.dir, "bench-1.pass"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(pass.Destroy)
	book, err := ledger.Open(filepath.Join(w.dir, "ledger.db"), ledger.Options{Create: true, Simulated: true, Station: "bench-1"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { book.Close() })
	return pass, book
}

// siteProcess is a running "station site run" of the folder site, in which the bench
// of the station file has a pass.
func (w *workplace) siteProcess() *exec.Cmd {
	w.t.Helper()
	w.run(0, "site", "init", "--name", "plant-1", "--url", "tls://localhost:4222", "--listen", "127.0.0.1:0")
	cmd := w.command("site", "run")
	line := firstWords(w.t, cmd, "site plant-1 at 127.0.0.1:")
	w.t.Cleanup(func() { _ = cmd.Process.Kill() })
	_, address, _ := strings.Cut(strings.TrimSpace(line), " at ")
	config := strings.Replace(string(w.read("site/site.json")), "localhost:4222", address, 1)
	w.write("site/site.json", config)
	w.run(0, "site", "add", "bench-1", "--out", "bench-1.pass")
	w.write("station.toml", string(w.read("station.toml"))+"\n[site]\npass = \"bench-1.pass\"\n")
	return cmd
}

// entries is how many entries the ledger has.
func (w *workplace) entries() uint64 {
	w.t.Helper()
	l, err := ledger.Open(filepath.Join(w.dir, "ledger.db"), ledger.Options{ReadOnly: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer l.Close()
	n, _, err := l.Head()
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// atSite is what the site has of the bench.
func (w *workplace) atSite() (b siteBenchAnswer) {
	w.t.Helper()
	out, _ := w.run(0, "site", "show", "bench-1", "--json")
	if err := errors.Join(fits("site-bench/1", out), json.Unmarshal([]byte(out), &b)); err != nil {
		w.t.Fatal(err)
	}
	return b
}

// A site and a bench, on the program itself: a line mirrors what it writes, a ledger that
// was set back stops the bench with both proofs, and goes on when a person has
// explained it.
func TestSite(t *testing.T) {
	w := newWorkplace(t)
	w.product("small")
	job := filepath.Join("small", "job.toml")
	cmd := w.siteProcess()
	if info, err := os.Stat(filepath.Join(w.dir, "bench-1.pass")); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the pass: %v, %v", info.Mode(), err)
	}
	w.run(0, "batch", "open", "b1", "--devices", "9", "--operator", "anna")
	if _, said := w.run(exitStation, "ledger", "verify", "--site", "site/witness.pem"); !strings.Contains(said, "none without it") || strings.Contains(said, "backup") {
		t.Errorf("verify of a ledger that the site has not signed: %s", said)
	}
	w.sealOne(job, fileMAC)
	if b := w.atSite(); b.Size != w.entries() || b.Signed == 0 {
		t.Errorf("after a line the site has %d entries, %d of them signed; the ledger has %d", b.Size, b.Signed, w.entries())
	}
	old := w.read("ledger.db")
	w.run(0, "ledger", "checkpoint", "--out", "bench.checkpoint")
	w.run(0, "batch", "amend", "b1", "--quota", "8", "--operator", "anna", "--reason", "one board is broken")
	if out, _ := w.run(0, "site", "push"); !strings.Contains(out, "of the ledger") {
		t.Errorf("push says %q", out)
	}
	w.run(0, "ledger", "checkpoint", "--out", "both.checkpoint")
	w.run(0, "site", "push")
	if out, _ := w.run(0, "ledger", "verify", "--site", "site/witness.pem"); !strings.Contains(out, fmt.Sprintf("it has had the first %d entries, and signed so", w.entries())) {
		t.Errorf("verify says %s", out)
	}
	w.run(0, "ledger", "prove", fileMAC, "--out", "device.proof")
	w.run(0, "ledger", "check", "device.proof", "--key", "site/witness.pem")
	right := w.read("ledger.db")

	w.write("ledger.db", string(old))
	if _, said := w.run(exitStation, "site", "push"); !strings.Contains(said, "E-LEDGER-SITE") || !strings.Contains(said, "it was set back") {
		t.Errorf("a ledger that was set back: %s", said)
	}
	seal := []string{"run", "--job", job, "--port", "socket://127.0.0.1:1", "--once", "--operator", "anna"}
	w.readers()
	for _, book := range [][]byte{old, right} { // until somebody has looked
		w.write("ledger.db", string(book))
		if _, said := w.run(exitStation, seal...); !strings.Contains(said, "E-LEDGER-SITE") {
			t.Errorf("a line of a bench that is refused: %s", said)
		}
	}
	shown, _ := w.run(0, "site", "show", "bench-1")
	for _, want := range []string{"HALTED", "it was set back", "The site has:\nstation-ledger/", "Both signed before:\nstation-ledger/", "The bench showed:\nstation-ledger/"} {
		if !strings.Contains(shown, want) {
			t.Errorf("show does not say %q:\n%s", want, shown)
		}
	}
	var kept struct{ Site, Before []byte }
	if err := json.Unmarshal(w.read("ledger.site-halt.json"), &kept); err != nil || !strings.Contains(shown, string(kept.Site)) || !strings.Contains(shown, string(kept.Before)) {
		t.Errorf("the bench keeps other proofs than the site: %v\n%s", err, kept.Site)
	}
	w.run(0, "site", "release", "bench-1", "--operator", "eve", "--reason", "a backup was put back by mistake")
	w.run(0, "site", "push")
	w.sealOne(job, "24:0a:c4:01:02:09")
	if b := w.atSite(); b.Size != w.entries() || len(b.Releases) != 1 || b.Releases[0].Operator != "eve" {
		t.Errorf("in the end the site has %d entries of %d; releases %+v", b.Size, w.entries(), b.Releases)
	}

	w.sealOne(job, "02:00:00:00:00:07") // which is virtual
	whole, _ := w.run(0, "site", "verify", "--json")
	if err := fits("site-verify/1", whole); err != nil {
		t.Errorf("%v\n%s", err, whole)
	}
	if out, _ := w.run(0, "site", "verify"); !strings.Contains(out, fmt.Sprintf("bench-1 is whole: %d entries", w.entries())) {
		t.Errorf("verify says %s", out)
	}
	w.siteRefusals()
	w.run(0, "site", "backup", "backup")
	w.run(exitStation, "site", "backup", "backup") // it is there
	w.siteQA()                                     // beside the site that runs
	w.revokedUnheard("bench-1")
	w.run(0, "site", "revoke", "bench-1")
	if _, said := w.run(exitStation, "site", "push"); !strings.Contains(said, "Authorization Violation") {
		t.Errorf("a bench that was revoked: %s", said)
	}
	if out, _ := w.run(0, "site", "list"); !strings.Contains(out, "bench-1 ") || !strings.Contains(out, "revoked") {
		t.Errorf("list says %s", out)
	}
	out, _ := w.run(0, "site", "list", "--json")
	if err := fits("site-benches/1", out); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the site ends with %v", err)
	}
	if _, said := w.run(exitStation, "site", "list"); !strings.Contains(said, "not running") {
		t.Errorf("list of a site that does not run: %s", said)
	}
	w.siteQA() // and from the folder of one that does not
	if out, _ := w.run(0, "site", "device", fileMAC, "--dir", "backup"); !strings.Contains(out, fileMAC+" at bench-1: PASS") {
		t.Errorf("the backup knows of the device: %s", out)
	}
	w.sealOne(job, "24:0a:c4:01:02:0b") // a bench needs no site
}

// siteQA asks the site what QA asks: it answers as the bench's own ledger does.
func (w *workplace) siteQA() {
	w.t.Helper()
	says := func(schema string, wants []string, args ...string) {
		w.t.Helper()
		if schema != "" {
			out, _ := w.run(0, append(slices.Clip(args), "--json")...)
			if err := fits(schema, out); err != nil {
				w.t.Errorf("%v\n%s", err, out)
			}
		}
		out, _ := w.run(0, args...)
		for _, want := range wants {
			if !strings.Contains(out, want) {
				w.t.Errorf("%q does not say %q:\n%s", args, want, out)
			}
		}
	}
	says("site-device/1", []string{fileMAC + " at bench-1: PASS", `"kind":"device.sealed"`}, "site", "device", fileMAC)
	w.run(0, "key", "public", "--out", "station-signer.pem", "--overwrite")
	w.run(0, "site", "device", fileMAC, "--proofs", "proofs", "--overwrite")
	for _, key := range []string{"site/witness.pem", "station-signer.pem"} {
		w.run(0, "ledger", "check", "proofs/bench-1-"+strings.ReplaceAll(fileMAC, ":", "")+".proof", "--key", key)
	}
	if _, said := w.run(exitUsage, "site", "device", "24:0a:c4:09:09:09"); !strings.Contains(said, "no bench of the site plant-1 knows") {
		w.t.Errorf("an unknown device: %s", said)
	}
	says("site-affected/1", []string{"state,of,evidence,slot,certain,revoked,bench,where\n", fileMAC + ",", ",true,,bench-1,bench-1\n"}, "site", "affected", "--mac", fileMAC)
	w.run(0, "site", "affected", "--mac", fileMAC, "--proofs", "affected", "--format", "json", "--out", "affected.json", "--overwrite")
	w.run(0, "ledger", "check", "affected/bench-1-"+strings.ReplaceAll(fileMAC, ":", "")+".proof", "--key", "site/witness.pem")
	if _, said := w.run(exitUsage, "site", "affected", "--release", "99"); !strings.Contains(said, "there is no release 99, nor any other") {
		w.t.Errorf("an unknown release: %s", said)
	}
	says("site-batches/1", []string{"b1", "bench-1", "8"}, "site", "batch")
	says("site-batch/1", []string{"started      0", "bench        bench-1: 0 started", "8 of 8 ordered devices are missing"}, "site", "batch", "b1")
	w.run(exitFailed, "site", "batch", "b1", "--certificate", "b1.site", "--operator", "anna", "--overwrite")
	w.run(0, "site", "batch", "b1", "--certificate", "b1.site", "--operator", "anna", "--anyway", "the rest is not needed", "--overwrite")
	if out, _ := w.run(0, "ledger", "check", "b1.site", "--key", "site/witness.pem"); !strings.Contains(out, "b1.site: OK") {
		w.t.Errorf("the certificate: %s", out)
	}
	w.run(exitUsage, "ledger", "check", "b1.site", "--key", "station-signer.pem")

	if _, said := w.run(exitUsage, "site", "sync", "--postgres", "postgres://mes:hunter2@db/mes"); !strings.Contains(said, "it holds a password") || strings.Contains(said, "hunter2") {
		w.t.Errorf("a password in the arguments: %s", said)
	}
	w.run(exitStation, "site", "sync", "--postgres", "host="+w.dir, "--once")

	for _, more := range [][]string{nil, {"--simulated"}} {
		own, _ := w.run(0, append([]string{"ledger", "export"}, more...)...)
		all, _ := w.run(0, append([]string{"site", "export"}, more...)...)
		if all = strings.ReplaceAll(strings.Replace(all, ",bench\n", "\n", 1), ",bench-1\n", "\n"); all != own || strings.Contains(own, "SIMULATION") != (more != nil) {
			w.t.Errorf("the site exports %q\n%s\nthe bench\n%s", more, all, own)
		}
	}
	w.run(exitFailed, "site", "export", "--batch", "none", "--out", "none.csv", "--overwrite")
	w.run(0, "site", "export", "--table", "entries", "--mac", fileMAC, "--out", "entries.xlsx", "--overwrite")
	w.run(0, "site", "report", "--out", "site.html", "--overwrite")
	if page := string(w.read("site.html")); !strings.Contains(page, `<b id="devices">2</b>`) || !strings.Contains(page, "bench-1") {
		w.t.Error("the page of the site does not count two devices")
	}
}

// siteRefusals asks the site for what it has not got, or will not do: that is wrong usage, as
// it is of every command.
func (w *workplace) siteRefusals() {
	w.t.Helper()
	w.run(0, "site", "add", "bench-9", "--out", "bench-9.pass")
	for ask, want := range map[string]string{
		"show nope":                 "no such bench: nope",
		"revoke nope":               "no such bench: nope",
		"verify nope":               "no such bench: nope",
		"verify ../x":               "bench \"../x\": want",
		"verify bench-9":            "bench-9 has never come",
		"release nope by":           "no such bench: nope",
		"release bench-9 by":        "bench-9 has never come",
		"release bench-1 by":        "bench-1 is not halted",
		"batch nope":                "batch nope: no such batch",
		"settle " + fileMAC + " by": "no conflict of this device",
		"free " + fileMAC + " by":   "the site has bench-1's ledger of it",
	} {
		args := append([]string{"site"}, strings.Fields(strings.TrimSuffix(ask, " by"))...)
		if strings.HasSuffix(ask, " by") {
			args = append(args, "--operator", "eve", "--reason", "why")
		}
		if _, said := w.run(exitUsage, args...); !strings.Contains(said, want) {
			w.t.Errorf("%s: %s", ask, said)
		}
	}
}

// revokedUnheard puts a bench out in the folder alone: the running site did not answer then.
func (w *workplace) revokedUnheard(bench string) {
	w.t.Helper()
	f, err := hub.Open(filepath.Join(w.dir, "site"))
	if err == nil {
		err = f.Revoke(bench)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.run(0, "site", "push")
}
