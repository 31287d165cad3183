package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"station/internal/flow"
	"station/internal/hsm"
	"station/internal/hsm/hsmtest"
)

const master = "station-master"

// token is the trial's token as tests of package hsm have it.
func (tr *trial) token() hsm.Config {
	return hsm.Config{URI: hsm.URI{Token: "line-1", ModulePath: "/usr/lib/softhsm/libsofthsm2.so", PINSource: "file:" + filepath.Join(tr.dir, "hsm", "pin")}}
}

// A token that cannot make the job's keys is found before a device is touched,
// and said with code, sentence and action.
func TestTokenUnfitAtTheStart(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	t.Setenv("SOFTHSM2_CONF", filepath.Join(tr.dir, "hsm", "softhsm2.conf"))
	cfg, faults := hsmtest.Faulty(t, tr.token())
	if err := furnish(tr.dir, filepath.Join(tr.dir, "hsm"), cfg.URI.ModulePath); err != nil {
		t.Fatal(err)
	}
	refused := func(code, word string) {
		t.Helper()
		tr.refused(tr.program("station", append([]string{"run"}, tr.runArgs()...)...), code, word)
	}
	faults.Set("ATTRIBUTE 0x162 -1 0")
	refused("E-HSM-KEY", "EXTRACTABLE is true: it can leave the token")
	faults.Set()
	hsmtest.Create(t, tr.token(), append(hsmtest.MasterTemplate(master), pkcs11.NewAttribute(pkcs11.CKA_VALUE, hsmtest.Master))...)
	refused("E-HSM-KEY", "not unique")
	hsmtest.Session(t, tr.token(), func(c *pkcs11.Ctx, s pkcs11.SessionHandle) {
		_ = c.FindObjectsInit(s, []*pkcs11.Attribute{pkcs11.NewAttribute(pkcs11.CKA_LABEL, master)})
		keys, _, err := c.FindObjects(s, 10)
		for _, k := range keys {
			err = errors.Join(err, c.DestroyObject(s, k))
		}
		if err != nil || len(keys) != 2 {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
	})
	refused("E-HSM-KEY", "no such key")

	// A wrong PIN is given to the token once, whatever program is started after,
	// and not at all when the next one would lock it.
	if err := os.WriteFile(filepath.Join(tr.dir, "hsm", "pin"), []byte("000000"), 0o600); err != nil {
		t.Fatal(err)
	}
	logins := faults.Calls("C_Login")
	refused("E-HSM-PIN", "CKR_PIN_INCORRECT")
	refused("E-HSM-PIN", "is not given again")
	faults.Set("FLAGS 0x20000 -1 0") // CKF_USER_PIN_FINAL_TRY
	refused("E-HSM-PIN", "one more wrong PIN locks it")
	if n := faults.Calls("C_Login") - logins; n != 1 {
		t.Errorf("%d logins, want 1", n)
	}
}

// The token is pulled while one device is being written and another one is put
// in: the first is sealed, the second waits and is sealed when the token is
// back, with no hand on it.
func TestTokenPulledInMidRun(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	second := startSim(t, tr.program("station", "sim", "--listen", "socket://127.0.0.1:0", "--mac", "24:0a:c4:01:02:04", "--flash-size", "1MB"))
	second.do(t, "unplug")
	var story []string
	var back func()
	halted, waiting := false, false
	see := func(e flow.Event) {
		slot := map[string]string{tr.chip.address: "first ", second.address: "second "}[e.Port]
		switch {
		case e.Event == flow.StepStarted && e.Step == "flash" && back == nil:
			back = hsmtest.Away(t, tr.token())
			second.do(t, "replug")
		case e.Event == flow.StepStarted && e.Step == "boot" && slot == "second ":
			second.do(t, "boot")
		case e.Event == flow.StepStarted && e.Step == "boot":
			waiting = true
		case e.Event == flow.LineHalted:
			halted = true
		case e.Event == flow.DevicePassed && slot == "first ":
			back()
		}
		if waiting && halted { // the first device is in hand until then
			waiting = false
			tr.chip.do(t, "boot")
		}
		if e.Verdict != "" || e.Event == flow.LineHalted || e.Event == flow.LineResumed {
			story = append(story, strings.TrimSpace(slot+e.Event+" "+string(e.Code)))
		}
	}
	cmd := tr.program("station", "run", "--headless", "--count", "2", "--job", tr.job, "--port", tr.chip.address, "--port", second.address,
		"--approve", tr.approval, "--operator", "anna")
	_, stderr := watchRun(t, cmd, see)
	want := []string{"second device.failed E-HSM-AWAY", "line.halted E-HSM-AWAY", "first device.passed", "line.resumed E-HSM-AWAY", "second device.passed"}
	if exit := cmd.ProcessState.ExitCode(); exit != 3 || !slices.Equal(story, want) {
		t.Errorf("exit code %d, %q, want %q\n%s", exit, story, want, stderr)
	}
	tr.finish()
}
