package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/ledger"
	"station/internal/record"
)

// floor is a place for many stations and devices of one product, all with the
// same token. Every trial has a ledger and a chip of its own; all chips have
// the same MAC, so what a device must be in the end is the same for all.
type floor struct {
	*workplace
	job      string
	approval string
	seen
}

// seen is what an undisturbed run is like.
type seen struct {
	moments []string
	fuses   []byte // what it leaves in the chip
	flash   []byte
}

var floorMAC = chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}

// newFloor makes the place for a product, of which one device was sealed without disturbance.
func newFloor(t *testing.T, edits ...string) *floor {
	t.Helper()
	f := &floor{workplace: newWorkplace(t)}
	dir := filepath.Join(f.dir, "small")
	f.job = filepath.Join(dir, "job.toml")
	if err := os.CopyFS(dir, os.DirFS("../../fixtures/small")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(f.job)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(edits...).Replace(string(b)) + "\n[device]\nreset = \"manual\"\n"
	if err := os.WriteFile(f.job, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := f.run(0, "job", "check", f.job)
	_, after, _ := strings.Cut(out, "plan digest  ")
	f.approval = strings.Fields(after)[0]
	f.seen = undisturbed[text]
	if f.moments == nil {
		f.watch()
		undisturbed[text] = f.seen
	}
	return f
}

// undisturbed is what was seen of each job before, by its text.
var undisturbed = map[string]seen{}

// watch seals one device without disturbance.
func (f *floor) watch() {
	f.t.Helper()
	tr := f.trial(f.t)
	list := filepath.Join(tr.dir, "moments")
	tr.run(0, "list "+list)
	b, err := os.ReadFile(list)
	if err != nil {
		f.t.Fatal(err)
	}
	f.moments = strings.Split(string(b), "\n")
	f.fuses, f.flash = tr.chipState()
}

// trial is one device with its chip, and a station for it.
type trial struct {
	*floor
	t    *testing.T
	dir  string
	chip *simChip
}

func (f *floor) trial(t *testing.T) *trial {
	t.Helper()
	tr := &trial{floor: f, t: t, dir: t.TempDir()}
	// A copy of the token: SoftHSM writes a token's file at each login, and a
	// process that reads it at that moment finds none.
	hsm := filepath.Join(tr.dir, "hsm")
	err := errors.Join(os.CopyFS(hsm, os.DirFS(f.hsm)), furnish(tr.dir, hsm, "/usr/lib/softhsm/libsofthsm2.so"), os.Chmod(filepath.Join(hsm, "pin"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	tr.chip = startSim(t, tr.program("station", "sim", "--listen", "socket://127.0.0.1:0", "--state", "chip",
		"--mac", floorMAC.String(), "--flash-size", "1MB"))
	return tr
}

func (tr *trial) program(name string, args ...string) *exec.Cmd {
	cmd := program(tr.bin, name, args...)
	cmd.Dir = tr.dir
	cmd.Env = append(os.Environ(), "SOFTHSM2_CONF="+filepath.Join(tr.dir, "hsm", "softhsm2.conf"))
	return cmd
}

// runArgs are those of a run of one device.
func (tr *trial) runArgs() []string {
	return []string{"--headless", "--once", "--job", tr.job, "--port", tr.chip.address, "--approve", tr.approval, "--operator", "anna"}
}

// run visits the device once, with an interruption or without; killed is the
// exit code of a killed process.
func (tr *trial) run(code int, interrupt string) []flow.Event {
	tr.t.Helper()
	cmd := tr.program("station", append([]string{"run"}, tr.runArgs()...)...)
	if interrupt != "" {
		cmd = tr.program("interrupted", tr.runArgs()...)
		cmd.Env = append(cmd.Env, "INTERRUPT="+interrupt)
	}
	tr.chip.do(tr.t, "loader")
	events, stderr := watchRun(tr.t, cmd, tr.attend)
	if got := cmd.ProcessState.ExitCode(); got != code {
		tr.t.Fatalf("exit code %d, want %d\n%s\n%v", got, code, stderr, events)
	}
	return events
}

// watchRun runs a headless station to its end; see is called with each event.
func watchRun(t *testing.T, cmd *exec.Cmd, see func(flow.Event)) (events []flow.Event, stderr string) {
	t.Helper()
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e flow.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			t.Errorf("not a JSON line: %s", lines.Text())
		}
		events = append(events, e)
		see(e)
	}
	_ = cmd.Wait()
	return events, errOut.String()
}

const killed = -1 // exit code of a process that a signal has ended

// chipState is what the chip holds.
func (tr *trial) chipState() (fuses, flash []byte) {
	tr.t.Helper()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(tr.dir, "chip", name))
		if err != nil {
			tr.t.Fatal(err)
		}
		return b
	}
	return read("efuse.bin"), read("flash.bin")
}

// entries are what the ledger holds of the device, after a check of all of it.
func (tr *trial) entries() []record.Entry {
	tr.t.Helper()
	path := filepath.Join(tr.dir, "ledger.db")
	for f := range ledger.Check(path, nil) {
		tr.t.Errorf("ledger: %v", f)
	}
	book, err := ledger.Open(path, ledger.Options{ReadOnly: true})
	if err != nil {
		tr.t.Fatal(err)
	}
	defer book.Close()
	list, err := book.History(floorMAC)
	if err != nil {
		tr.t.Fatal(err)
	}
	return list
}

// refused runs a station that must not touch a device, and reads why.
func (tr *trial) refused(cmd *exec.Cmd, code string, words ...string) {
	tr.t.Helper()
	fuses, before := tr.chipState()
	events, stderr := watchRun(tr.t, cmd, tr.attend)
	kind := flow.FailureOf(flow.Code(code))
	for _, want := range append(words, "station: "+code+": "+kind.Sentence+" "+kind.Action) {
		if !strings.Contains(stderr, want) {
			tr.t.Errorf("standard error holds no %q:\n%s", want, stderr)
		}
	}
	if exit := cmd.ProcessState.ExitCode(); exit != 3 || len(events) > 0 {
		tr.t.Errorf("exit code %d, events %v", exit, events)
	}
	if after, flash := tr.chipState(); !bytes.Equal(after, fuses) || !bytes.Equal(flash, before) {
		tr.t.Error("the chip was touched")
	}
}

// finish puts the device back, which must be sealed now, and holds it against
// one that nobody disturbed. It tells what the second station had to do.
func (tr *trial) finish() string {
	tr.t.Helper()
	events := tr.run(0, "")
	fuses, flash := tr.chipState()
	if !bytes.Equal(fuses, tr.fuses) || !bytes.Equal(flash, tr.flash) {
		tr.t.Error("fuses or flash are not those of an undisturbed device")
	}
	var keys, sealed int
	open := map[string]bool{}
	for _, e := range tr.entries() {
		switch e.Kind {
		case record.KeyAssigned:
			keys++
		case record.Sealed:
			sealed++
		case record.BurnIntended:
			open[e.Stage] = true
		case record.BurnSettled:
			delete(open, e.Stage)
		}
	}
	if keys != 1 || sealed != 1 || len(open) > 0 {
		tr.t.Errorf("the ledger has %d keys and %d seals for the device, and unsettled %v", keys, sealed, open)
	}
	if slices.ContainsFunc(events, func(e flow.Event) bool { return e.Already }) {
		return "found sealed"
	}
	return "sealed by the next station"
}

// honest checks that no fuse holds what the ledger had not announced.
func (tr *trial) honest() {
	tr.t.Helper()
	announced := tr.announced()
	for _, stage := range tr.burned() {
		if !slices.Contains(announced, stage) {
			tr.t.Errorf("fuses of stage %s are burned and the ledger does not know: announced %v", stage, announced)
		}
	}
}

// announced are the stages whose intent is in the ledger.
func (tr *trial) announced() (list []string) {
	tr.t.Helper()
	for _, e := range tr.entries() {
		if e.Kind == record.BurnIntended && !slices.Contains(list, e.Stage) {
			list = append(list, e.Stage)
		}
	}
	return list
}

// burned are the stages that have left anything in the fuses.
func (tr *trial) burned() []string {
	tr.t.Helper()
	fuses, _ := tr.chipState()
	block0 := binary.LittleEndian.Uint32(fuses)
	var list []string
	for _, s := range []struct {
		name string
		is   bool
	}{
		{"key", !bytes.Equal(fuses[28:60], make([]byte, 32))},
		{"key-protect", block0&(1<<16|1<<7) != 0},
		{"config", fuses[23]&0xf0 != 0},
		{"count", block0&(0x7f<<20) != 0},
		{"lock", block0&(1<<0) != 0},
		{"freeze", block0&(1<<1) != 0},
	} {
		if s.is {
			list = append(list, s.name)
		}
	}
	return list
}

// do presses a button and waits until it is done.
func (c *simChip) do(t *testing.T, button string) {
	t.Helper()
	_, err := fmt.Fprintln(c.buttons, button)
	answer, readErr := c.answers.ReadString('\n')
	if err != nil || readErr != nil || answer != "ok\n" {
		t.Errorf("button %s: %q, %v, %v", button, answer, err, readErr)
	}
}

// attend presses what the station waits for. A chip is in its loader when it
// is plugged in.
func (tr *trial) attend(e flow.Event) {
	button := map[flow.StepID]string{"boot": "boot", "lock": "loader", "last-boot": "boot"}[e.Step]
	if e.Event == flow.StepStarted && button != "" {
		tr.chip.do(tr.t, button)
	}
}
