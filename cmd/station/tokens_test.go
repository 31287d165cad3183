//go:build tokens

package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"station/internal/flow"
)

var updateTokens = flag.Bool("update-tokens", false, "write the token's line of docs/tokens.md")

// tokenPlace is a workplace with the token that a script of tools/tokens brought up.
func tokenPlace(t *testing.T) *workplace {
	t.Helper()
	if os.Getenv("TOKEN_URI") == "" {
		t.Fatal(`no token: run this with "make tokens"`)
	}
	w := &workplace{t: t, dir: t.TempDir(), bin: install(t)}
	toml := fmt.Sprintf("id = \"bench-1\"\nledger = \"ledger.db\"\n[hsm]\nuri = %q\nallow_software_token = true\n", os.Getenv("TOKEN_URI"))
	for _, err := range []error{
		os.WriteFile(filepath.Join(w.dir, "station.toml"), []byte(toml), 0o600),
		os.CopyFS(filepath.Join(w.dir, "example"), os.DirFS("../../fixtures/example")),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// try runs a command that may fail, and gives the last code of PKCS#11 that it
// was refused with.
func (w *workplace) try(args ...string) (ok bool, why string) {
	w.t.Helper()
	out, err := w.command(args...).CombinedOutput()
	if err == nil {
		return true, ""
	}
	codes := regexp.MustCompile(`CKR_[A-Z_]+`).FindAllString(string(out), -1)
	w.t.Logf("station %s: %v\n%s", strings.Join(args, " "), err, out)
	if len(codes) == 0 || strings.Contains(string(out), "unfit attributes") {
		return false, "no: a key of it would be open for more than its work"
	}
	return false, "no: " + codes[len(codes)-1]
}

// kindOf is the type of a key, as key show tells it.
func (w *workplace) kindOf(label string) string {
	out, _ := w.run(0, "key", "show", label)
	_, after, _ := strings.Cut(out, "type          ")
	kind, _, _ := strings.Cut(after, " key,")
	return kind
}

// A token of others seals a virtual device by every policy that it can, signs
// what it can, loses its daemon in mid-run and is taken up again. What it can is
// its line in docs/tokens.md.
func TestToken(t *testing.T) {
	w := tokenPlace(t)
	adopt := os.Getenv("TOKEN_ADOPT")
	var cells []string
	works := ""
	signs, why := w.try("hsm", "init", "--policy", "none", "--operator", "eve")
	for i, p := range []struct {
		label, policy, prf string
		make               []string
	}{
		{"master", "derived", "", []string{"hsm", "init", "--policy", "derived", "--signer", "", "--label", "master", "--operator", "eve"}},
		{"cmac", "derived", "aes-cmac", []string{"hsm", "init", "--policy", "derived", "--prf", "aes-cmac", "--signer", "", "--label", "cmac", "--operator", "eve"}},
		{"kek", "random", "", []string{"hsm", "init", "--policy", "random", "--signer", "", "--label", "kek", "--operator", "eve"}},
		{"fleet", "shared", "", []string{"key", "new", "--label", "fleet", "--operator", "eve"}},
	} {
		made, why := w.try(p.make...)
		by := ""
		if !made && adopt != "" && p.prf == "" && p.policy == "derived" {
			if out, err := exec.Command(adopt, p.label).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			made, why = w.try("key", "adopt", p.label, "--operator", "eve")
			by = ", adopted"
		}
		if !made {
			cells = append(cells, why)
			continue
		}
		key := fmt.Sprintf("policy = %q", p.policy)
		if p.prf != "" {
			key += fmt.Sprintf("\nprf = %q", p.prf)
		}
		dir := fmt.Sprintf("product%d", i)
		w.product(dir, `policy = "derived"`, key, `"station-master"`, fmt.Sprintf("%q", p.label), `revision = "1"`, fmt.Sprintf("revision = \"%d\"", i+1))
		job := filepath.Join(dir, "job.toml")
		w.sealOne(job, fmt.Sprintf("24:0a:c4:01:02:%02x", i))
		w.run(0, "hsm", "status", "--job", job)
		cells = append(cells, w.kindOf(p.label)+by)
		works = job
	}
	cells = append(cells, w.signatures(signs, why), w.lossOf(works))
	w.lockedOut()
	w.daemonDown()
	w.tableLine(cells)
}

// lockedOut gives a TPM wrong PINs until it locks, and reads what then opens it.
func (w *workplace) lockedOut() {
	if os.Getenv("TOKEN_NAME") != "tpm" {
		return
	}
	uri, query, _ := strings.Cut(os.Getenv("TOKEN_URI"), "?")
	module, _, _ := strings.Cut(query, "&")
	said := ""
	for i := 0; i < 8 && !strings.Contains(said, "CKR_PIN_LOCKED"); i++ {
		cmd := w.command("hsm", "status", "--hsm", uri+"?"+module)
		cmd.Env = append(cmd.Environ(), fmt.Sprintf("STATION_PIN=wrong-%d", i))
		out, _ := cmd.CombinedOutput()
		said = string(out)
	}
	if !strings.Contains(said, "E-HSM-PIN") || !strings.Contains(said, "tpm2_dictionarylockout --clear-lockout") {
		w.t.Errorf("a TPM that is locked: %s", said)
	}
	if out, err := exec.Command("tpm2_dictionarylockout", "--clear-lockout").CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	w.run(0, "hsm", "status")
}

// signatures has the token sign a checkpoint, a batch's certificate and an image.
func (w *workplace) signatures(signs bool, why string) string {
	if !signs {
		return why
	}
	w.run(0, "key", "public", "--out", "signer.pem")
	w.run(0, "ledger", "checkpoint", "--out", "kept")
	w.run(0, "ledger", "verify", "--key", "signer.pem", "--checkpoint", "kept")
	w.run(0, "batch", "open", "b1", "--job", filepath.Join("product0", "job.toml"), "--devices", "1", "--operator", "eve")
	w.run(0, "batch", "close", "b1", "--anyway", "a test of the token", "--operator", "eve", "--out", "b1.certificate")
	w.run(0, "ledger", "check", "b1.certificate", "--key", "signer.pem")
	uri, query, _ := strings.Cut(os.Getenv("TOKEN_URI"), "?")
	module, _, _ := strings.Cut(strings.TrimPrefix(query, "module-path="), "&")
	label, _, _ := strings.Cut(strings.TrimPrefix(uri, "pkcs11:token="), ";")
	cmd := exec.Command("pkcs11-tool", "--module", module, "--token-label", strings.ReplaceAll(label, "%20", " "), "--login", "--pin", os.Getenv("TOKEN_PIN"),
		"--keypairgen", "--key-type", "EC:prime256v1", "--usage-sign", "--label", "image", "--id", "01")
	if adopt := os.Getenv("TOKEN_ADOPT"); adopt != "" {
		cmd = exec.Command(adopt, "image", "ecc256")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		w.t.Fatalf("image key: %v\n%s", err, out)
	}
	w.run(0, "image", "sign", "--key", uri+";object=image?"+query, "--out", "app.v1", "example/build/station-example.bin")
	return "checkpoint, certificate, image"
}

// lossOf kills the token's daemon while one device is being written and another
// one is put in.
func (w *workplace) lossOf(job string) string {
	daemon := os.Getenv("TOKEN_DAEMON")
	if daemon == "" {
		return "has no daemon"
	}
	t := w.t
	do := func(what string) {
		if out, err := exec.Command(filepath.Join(daemon, what)).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", what, err, out)
		}
	}
	first := w.sim("--mac", "24:0a:c4:01:03:03", "--flash-size", "1MB")
	second := w.sim("--mac", "24:0a:c4:01:03:04", "--flash-size", "1MB")
	second.do(t, "unplug")
	out, _ := w.run(0, "job", "check", job)
	_, after, _ := strings.Cut(out, "plan digest  ")
	var story []string
	gone, free, waiting := false, false, false // free: the first device may end
	see := func(e flow.Event) {
		slot := map[string]string{first.address: "first ", second.address: "second "}[e.Port]
		switch {
		case e.Event == flow.StepStarted && e.Step == "flash" && !gone:
			gone = true
			do("stop")
			second.do(t, "replug")
		case e.Event == flow.StepStarted && e.Step == "boot" && slot == "second ":
			second.do(t, "boot")
		case e.Event == flow.StepStarted && e.Step == "boot":
			waiting = true
		case e.Event == flow.LineHalted, e.Event == flow.DevicePassed && slot == "second ":
			free = true
		case e.Event == flow.DevicePassed && slot == "first ":
			do("start")
		}
		if waiting && free {
			waiting = false
			first.do(t, "boot")
		}
		if e.Verdict != "" || e.Event == flow.LineHalted || e.Event == flow.LineResumed {
			story = append(story, strings.TrimSpace(slot+e.Event+" "+string(e.Code)))
		}
	}
	cmd := w.command("run", "--headless", "--count", "2", "--job", job, "--port", first.address, "--port", second.address,
		"--approve", strings.Fields(after)[0], "--operator", "anna")
	_, stderr := watchRun(t, cmd, see)
	want := []string{"second device.failed E-HSM-AWAY", "line.halted E-HSM-AWAY", "first device.passed", "line.resumed E-HSM-AWAY", "second device.passed"}
	if slices.Equal(story, []string{"second device.passed", "first device.passed"}) {
		return "goes on without it"
	}
	if !slices.Equal(story, want) {
		t.Errorf("%q, want %q\n%s", story, want, stderr)
		return "no"
	}
	return "halts and comes back"
}

// daemonDown is what a person reads who forgot to start it.
func (w *workplace) daemonDown() {
	daemon := os.Getenv("TOKEN_DAEMON")
	if daemon == "" {
		return
	}
	if out, err := exec.Command(filepath.Join(daemon, "stop")).CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	_, said := w.run(3, "hsm", "status")
	want := map[string]string{"opencryptoki": "pkcsslotd", "tpm": "tpm2-abrmd", "remote": "p11-kit server"}[os.Getenv("TOKEN_NAME")]
	if !strings.Contains(said, want) {
		w.t.Errorf("without its daemon: %s\nwant it to name %s", said, want)
	}
}

// tableLine holds what was seen against the token's line in docs/tokens.md.
func (w *workplace) tableLine(cells []string) {
	const path = "../../docs/tokens.md"
	name := os.Getenv("TOKEN_NAME")
	line := fmt.Sprintf("| `%s` | %s |", name, strings.Join(cells, " | "))
	doc, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	old := regexp.MustCompile("(?m)^\\| `" + name + "` \\|.*$")
	was := string(old.Find(doc))
	switch {
	case was == line:
	case *updateTokens && was != "":
		if err := os.WriteFile(path, old.ReplaceAllLiteral(doc, []byte(line)), 0o644); err != nil {
			w.t.Fatal(err)
		}
	default:
		w.t.Errorf("docs/tokens.md says\n%s\nseen was\n%s\n(make tokens UPDATE=1 writes it)", was, line)
	}
}
