package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// A site is given another address while it runs: its bench hears it and comes there, with the
// same pass, once the site has moved.
func TestSiteAddress(t *testing.T) {
	w := newWorkplace(t)
	cmd := w.siteProcess()
	w.run(0, "batch", "open", "b1", "--devices", "9", "--operator", "anna")
	w.run(0, "site", "push")
	l, err := net.Listen("tcp", "127.0.0.2:0")
	if err != nil {
		t.Fatal(err)
	}
	to := l.Addr().String()
	l.Close()
	says := func(args []string, wants ...string) {
		t.Helper()
		out, _ := w.run(0, args...)
		for _, want := range wants {
			if !strings.Contains(out, want) {
				t.Errorf("%q does not say %q:\n%s", args, want, out)
			}
		}
	}
	ends := func(cmd *exec.Cmd) {
		t.Helper()
		if err := errors.Join(cmd.Process.Signal(os.Interrupt), cmd.Wait()); err != nil {
			t.Fatal(err)
		}
	}
	w.run(exitUsage, "site", "address", "new.example:4222")
	says([]string{"site", "address", "tls://" + to}, "site plant-1 is at tls://"+to, "certificate was issued anew", "at their next contact")
	says([]string{"site", "address"}, "bench-1 does not know it yet")
	w.run(0, "site", "push")
	if kept := string(w.read("ledger.site-address.json")); !strings.Contains(kept, `"former": "tls://`) {
		t.Errorf("the bench keeps %s", kept)
	}
	if out, _ := w.run(0, "site", "address"); out != fmt.Sprintf("site plant-1 is at tls://%s\n", to) {
		t.Errorf("when all know it: %s", out)
	}
	ends(cmd)

	w.write("site/site.json", strings.Replace(string(w.read("site/site.json")), "127.0.0.1:0", to, 1))
	cmd = w.command("site", "run")
	firstWords(t, cmd, "site plant-1 at "+to)
	w.run(0, "site", "push")
	if kept := string(w.read("ledger.site-address.json")); strings.Contains(kept, "former") {
		t.Errorf("it still looks where the site was: %s", kept)
	}
	ends(cmd)
	says([]string{"site", "address", "tls://localhost:4222"}, "it does not run on this machine: its benches hear it from its next start")
}
