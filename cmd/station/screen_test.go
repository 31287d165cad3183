package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"station/internal/job"
	"station/internal/ttytest"
)

// onScreen starts the real binary on a real pseudo-terminal.
func (w *workplace) onScreen(cols, rows int, args ...string) *ttytest.Terminal {
	w.t.Helper()
	cmd := w.command(args...)
	cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LANG=C.UTF-8")
	return ttytest.Start(w.t, cmd, cols, rows)
}

// A demo from start to end: virtual devices pass, the window changes its size,
// help comes and goes, and the ledger stands on the terminal at the end.
func TestDemoOnATerminal(t *testing.T) {
	w := newWorkplace(t)
	term := w.onScreen(80, 24, "demo", "--fast", "--slots", "2")
	term.Wait("SIMULATION", "02:00:00:00:00:00", "02:00:00:00:00:01")
	term.Until("both slots have passed", func(s string) bool { return strings.Count(s, "Sealed.") == 2 })
	for _, size := range [][2]int{{160, 48}, {40, 20}, {80, 24}} {
		term.Resize(size[0], size[1])
		term.Until(fmt.Sprintf("the line at %v", size), func(s string) bool {
			lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
			return len(lines) <= size[1] && strings.Contains(s, "SIMULATION") && strings.Contains(s, "quit")
		})
	}
	term.Press("?")
	term.Wait("Help", "QUARANTINE")
	back := func(from string) {
		term.Press("esc")
		term.Until("no more "+from, func(s string) bool { return !strings.Contains(s, from) })
	}
	back("What the tiles say")
	term.Press("enter") // details of the first slot
	term.Wait("Boot log", "device.seen")
	term.Press("tab", "tab", "end")
	term.Wait("station-example: ready")
	back("Boot log")
	term.Press("q")
	if code := term.Exit(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	term.Restored()
	if text := term.Text(); !strings.Contains(text, "does not run the firmware") || !strings.Contains(text, "ledger is whole") || !strings.Contains(text, "2 passed (0 of them sealed before), 0 to put back") {
		t.Errorf("the terminal says at the end:\n%s", text)
	}
}

// A terminal without a screen gets sentences, no JSON.
func TestDumbTerminalGetsPlainLines(t *testing.T) {
	w := newWorkplace(t)
	cmd := w.command("demo", "--fast", "--slots", "1")
	cmd.Env = append(os.Environ(), "TERM=dumb", "LANG=C.UTF-8")
	term := ttytest.Start(t, cmd, 100, 60)
	term.Exit()
	if text := term.Text(); !strings.Contains(text, "device.passed 1 02:00:00:00:00:00") || !strings.Contains(text, "does not run the firmware") || strings.Contains(text, `{"time"`) {
		t.Errorf("the terminal says:\n%s", text)
	}
}

// What nobody read is missed in the form of the rest.
func TestDroppedLinesAreWords(t *testing.T) {
	if text := string(formOf(false).missing(3)); text != "station: 3 lines were dropped: nobody read them\n" {
		t.Errorf("in words: %q", text)
	}
	if text := formOf(true).missing(3); !json.Valid(text) || !strings.Contains(string(text), `"dropped":3`) {
		t.Errorf("as JSON: %s", text)
	}
}

// A shift with a real token and a chip in another process: the plan is read
// and approved, a device fails and is acknowledged, it is tried again, and
// whoever quits while a device must not be unplugged is made to wait.
func TestShiftOnATerminal(t *testing.T) {
	w := newWorkplace(t)
	path := filepath.Join(w.dir, "example", "job.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), `timeout = "10s"`, `timeout = "2s"`, 1) + "\n[device]\nreset = \"manual\"\n[line]\nacknowledge = true\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	job, err := job.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	station := filepath.Join(w.dir, "station.toml")
	people := "[people]\noperators = [\"anna\"]\napprovers = [\"eve\"]\n" // eve alone approves
	if b, err = os.ReadFile(station); err == nil {
		err = os.WriteFile(station, append(append(b, '\n'), people...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c := w.sim()
	term := w.onScreen(100, 40, "run", "--job", "example/job.toml", "--port", c.address)
	term.Wait("Who works at this station?")
	term.Press("anna", "enter")
	term.Wait("Burn plan of station-example", "Mode release", "app version")
	term.Press("end")
	term.Wait("FLASH_CRYPT_CNT", "The operator may not approve this.", "one who may: eve.")
	term.Press("anna", "enter")
	term.Wait("anna is no approver here")
	term.Press("eve", "enter")
	term.Wait("type the first")
	term.Press(strings.TrimPrefix(job.PlanDigest(), "sha256:")[:6], "enter")

	// Nobody starts the firmware: the device fails and holds its slot.
	term.Wait("DO NOT UNPLUG")
	term.Wait("printed nothing after the reset", "Seen?")
	term.Press(" ")
	term.Until("the failure was acknowledged", func(s string) bool { return !strings.Contains(s, "Seen?") })

	// Once more, and now somebody quits in the middle.
	fmt.Fprintln(c.buttons, "loader")
	term.Press("r")
	term.Until("the burned device is being started", func(s string) bool {
		return strings.Contains(s, "Start firmware") && strings.Contains(s, "DO NOT UNPLUG")
	})
	term.Press("q")
	term.Wait("Stop the line?")
	fmt.Fprintln(c.buttons, "boot")
	term.Press("y")
	if code := term.Exit(); code != exitFailed { // one visit failed
		t.Errorf("exit code %d, want %d", code, exitFailed)
	}
	term.Restored()
	list, _ := w.run(0, "ledger", "list")
	if !strings.Contains(list, "02:00:00:00:00:00") {
		t.Errorf("ledger list:\n%s", list)
	}
	entries, _ := w.run(0, "ledger", "export", "--table", "entries", "--format", "jsonl")
	if !regexp.MustCompile(`"kind":"plan.approved".*"operator":"eve",.*"lineOperator":"anna"`).MatchString(entries) {
		t.Errorf("who approved:\n%s", entries)
	}
	w.run(0, "ledger", "verify")
}

// A PIN that is mistyped on the screen is asked for again.
func TestMistypedPINOnATerminal(t *testing.T) {
	w := newWorkplace(t)
	path := filepath.Join(w.dir, "station.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "&pin-source=file:"+w.hsm+"/pin", "", 1)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil || text == string(b) {
		t.Fatalf("%v\n%s", err, text)
	}
	term := w.onScreen(100, 40, "run", "--job", "example/job.toml", "--operator", "anna", "--port", "socket://127.0.0.1:1")
	term.Wait("PIN of the key token", "It is not shown")
	term.Press("123123", "enter")
	term.Wait("The key token's PIN is wrong.", "CKR_PIN_INCORRECT")
	term.Press(testPIN, "enter")
	term.Wait("Burn plan of station-example")
	term.Press("ctrl+c")
	term.Exit()
	term.Restored()
}
