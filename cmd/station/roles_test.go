package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"station/internal/chip"
	"station/internal/ledger"
	"station/internal/record"
)

// leaves are the commands that do something.
func leaves(cmd *cobra.Command) (list []string) {
	for _, c := range cmd.Commands() {
		if c.HasSubCommands() {
			list = append(list, leaves(c)...)
		} else {
			list = append(list, c.CommandPath())
		}
	}
	return list
}

// rolesOfDocs is what docs/roles.md says of each command's need of a token.
func rolesOfDocs(t *testing.T) map[string]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/roles.md")
	if err != nil {
		t.Fatal(err)
	}
	needs := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(station [a-z ]+)` \\|[^|]*\\| ([^|]*) \\|").FindAllStringSubmatch(string(page), -1) {
		needs[row[1]] = row[2]
	}
	return needs
}

// Every command does without a token what docs/roles.md says that it can, and
// nothing that it says it cannot.
func TestRoles(t *testing.T) {
	w := newWorkplace(t)
	w.product("small")
	const mac, aside = "24:0a:c4:01:02:03", "24:0a:c4:01:02:04"
	job := filepath.Join("small", "job.toml")
	w.run(0, "batch", "open", "b1", "--devices", "3", "--operator", "anna")
	w.sealOne(job, mac)
	w.setAside(aside)
	w.run(0, "ledger", "checkpoint", "--out", "kept.checkpoint")
	w.run(0, "key", "public", "--out", "signer.pem")
	w.run(0, "hsm", "init", "--policy", "none", "--role", "ca", "--operator", "eve")
	w.run(0, "identity", "ca", "--subject", "CN=Plant", "--self-signed", "--out", "ca.pem")
	_, rsa := w.officer()
	if err := os.WriteFile(filepath.Join(w.dir, "fleet.bin"), []byte("000102030405060708090a0b0c0d0e0f"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.bundle("lamp.bundle", "bundle.pem")
	chip := w.sim()
	if err := furnish(w.dir, w.hsm, "/usr/lib/softhsm/there-is-none.so"); err != nil {
		t.Fatal(err)
	}

	const app = "example/build/station-example.bin"
	needs := rolesOfDocs(t)
	tried := map[string]bool{ // what only a test of its own can try, because it does not end, or needs a terminal, a token of its own or a device with an identity
		"station sim": true, "station replay": true, "station rehearse": true, "station demo": true, "station ledger recover": true, "station serve": true,
		"station release listen": true, "station site run": true, "station site list": true, "station site show": true, "station site release": true, "station site verify": true, "station site push": true, "station site device": true, "station site affected": true, "station site batch": true, "station site export": true, "station site report": true, "station identity show": true, "station identity verify": true, "station identity revoke": true,
		"station site sync": true, "station site backup": true, "station site address": true, "station batch return": true, "station site settle": true, "station site free": true,
	}
	for _, c := range []struct{ command, args string }{
		{"station probe", "--port " + chip.address},
		{"station ports", ""},
		{"station doctor", ""},
		{"station chips", ""},
		{"station version", ""},
		{"station job new", "example/build/flasher_args.json --name lamp --marker ready --out lamp.toml"},
		{"station job check", job},
		{"station run", "--job " + job + " --once --headless --operator anna --port " + chip.address},
		{"station hsm init", "--operator eve"},
		{"station hsm status", ""},
		{"station key list", ""},
		{"station key show", "station-master"},
		{"station key public", ""},
		{"station key new", "--label fleet --operator eve"},
		{"station key import", "fleet.bin --label fleet --operator eve"},
		{"station key adopt", "station-master --operator eve"},
		{"station key note", "station-master --operator eve"},
		{"station key recover", mac + " --operator eve --reason RMA --job " + job + " --out rma"},
		{"station identity ca", "--subject CN=Plant --out ca.csr"},
		{"station identity crl", "--ca ca.pem --out revoked.crl"},
		{"station image info", app},
		{"station image sign", "--key " + rsa + " --out signed.bin " + app},
		{"station image verify", "signed.bin"},
		{"station image digest", "--key fleet.bin --out digest.bin example/build/bootloader/bootloader.bin"},
		{"station image encrypt", "--key fleet.bin --address 0x10000 --out app.flash " + app},
		{"station image decrypt", "--key fleet.bin --address 0x10000 --out app.again app.flash"},
		{"station ota build", "--key officer.pem --out app.ota " + app},
		{"station release add", app + " --product station-example --job example/job.toml --operator anna"},
		{"station release list", ""},
		{"station release show", "1"},
		{"station release export", "1 card"},
		{"station rollout start", "1 --percent 5 --operator anna"},
		{"station rollout pause", "1 --operator anna --reason test"},
		{"station rollout resume", "1 --operator anna --reason test"},
		{"station rollout status", ""},
		{"station release withdraw", "1 --operator anna --reason test"},
		{"station affected", "--mac " + mac},
		{"station release bundle check", "--key bundle.pem lamp.bundle"},
		{"station batch open", "b2 --devices 3 --operator anna"},
		{"station batch show", "b1"},
		{"station batch close", "b1 --operator anna --anyway test"},
		{"station batch package", "b1 --operator anna"},
		{"station label", mac + " --operator anna --format zpl"},
		{"station batch amend", "b1 --quota 4 --operator anna --reason more"},
		{"station ledger list", ""},
		{"station site init", "--name plant-1 --url tls://localhost:4222"},
		{"station site add", "bench-1 --out bench-1.pass"},
		{"station site revoke", "bench-1"},
		{"station site token add", "wall"},
		{"station site token list", ""},
		{"station site token revoke", "wall"},
		{"station ledger show", mac},
		{"station ledger verify", ""},
		{"station ledger export", "--out devices.csv"},
		{"station ledger report", "--out report.html"},
		{"station ledger prove", mac + " --out device.proof"},
		{"station ledger check", "device.proof --key signer.pem"},
		{"station ledger backup", "backup.db"},
		{"station ledger checkpoint", ""},
		{"station ledger release", aside + " --operator anna --reason retry"},
	} {
		tried[c.command] = true
		args := append(strings.Fields(c.command)[1:], strings.Fields(c.args)...)
		if strings.HasPrefix(needs[c.command], "no") {
			w.run(0, args...)
			continue
		}
		if out, stderr := w.run(exitStation, args...); !strings.Contains(out+stderr, "there-is-none.so") {
			t.Errorf("%s: got %s%s, want that the token's module is missing", c.command, out, stderr)
		}
	}
	for _, c := range leaves(rootCommand()) {
		if needs[c] == "" || !tried[c] {
			t.Errorf("%s: docs/roles.md says %q of it, tried %t", c, needs[c], tried[c])
		}
		delete(needs, c)
	}
	for c := range needs {
		t.Errorf("docs/roles.md knows %s, which is no command", c)
	}
}

// setAside records a device that is in quarantine.
func (w *workplace) setAside(mac string) {
	w.t.Helper()
	m, err := chip.ParseMAC(mac)
	if err != nil {
		w.t.Fatal(err)
	}
	l, err := ledger.Open(filepath.Join(w.dir, "ledger.db"), ledger.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	list := slices.DeleteFunc(visitEntries(m, "b1", "QUARANTINE E-CHIP-STATE"), func(e record.Entry) bool { return e.FlashKey().ID != "" })
	_, err = l.AppendAll(list)
	if err := errors.Join(err, l.Close()); err != nil {
		w.t.Fatal(err)
	}
}
