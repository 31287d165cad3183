package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"station/internal/flow"
)

// workplace is a folder with the example job, a SoftHSM2 store and the real
// program, which is this test binary under another name.
type workplace struct {
	t    *testing.T
	dir  string
	bin  string        // folder of the programs
	hsm  string        // folder of the token's store, its configuration and PIN
	args [][]string    // of everything that was started
	out  []byte        // everything that was printed
	said *bufio.Reader // of what serves a site and its page: what it has still to tell
}

const testPIN = "739155"

func newWorkplace(t *testing.T) *workplace {
	t.Helper()
	w := &workplace{t: t, dir: t.TempDir(), bin: install(t)}
	w.hsm = t.TempDir() // out of the search
	for _, err := range []error{
		os.Mkdir(filepath.Join(w.hsm, "tokens"), 0o700),
		os.CopyFS(filepath.Join(w.dir, "example"), os.DirFS("../../fixtures/example")),
		os.WriteFile(filepath.Join(w.hsm, "pin"), []byte(testPIN), 0o600),
		furnish(w.dir, w.hsm, "/usr/lib/softhsm/libsofthsm2.so"),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", filepath.Join(w.hsm, "softhsm2.conf"))
	t.Setenv("GORACE", "atexit_sleep_ms=0") // a program of the race detector takes a second to end
	w.firstToken()
	return w
}

// first is what the first token and its ledger are, which all workplaces have:
// to make a new one for each takes longer than most tests.
var first struct {
	sync.Once
	dir string // "" where it failed
	out []byte
}

func (w *workplace) firstToken() {
	w.t.Helper()
	mine := false
	first.Do(func() {
		mine = true
		w.newToken()
		dir, err := common()
		hsm, place := filepath.Join(dir, "hsm"), filepath.Join(dir, "place")
		if err := errors.Join(err, os.CopyFS(hsm, os.DirFS(filepath.Join(w.hsm, "tokens"))), os.MkdirAll(place, 0o700), copyFiles(place, w.dir)); err != nil {
			w.t.Fatal(err)
		}
		first.dir, first.out = dir, w.out
	})
	if mine {
		return
	}
	if first.dir == "" {
		w.t.Fatal("the first token could not be made")
	}
	w.out = append(w.out, first.out...)
	if err := errors.Join(os.CopyFS(filepath.Join(w.hsm, "tokens"), os.DirFS(filepath.Join(first.dir, "hsm"))), copyFiles(w.dir, filepath.Join(first.dir, "place"))); err != nil {
		w.t.Fatal(err)
	}
}

// copyFiles copies the ledger and the files beside it.
func copyFiles(to, from string) error {
	names, err := filepath.Glob(filepath.Join(from, "ledger.*"))
	for _, name := range names {
		b, err1 := os.ReadFile(name)
		err = errors.Join(err, err1, os.WriteFile(filepath.Join(to, filepath.Base(name)), b, 0o600))
	}
	return err
}

// newToken makes the token that station.toml names, with a new master.
func (w *workplace) newToken() {
	w.t.Helper()
	out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", "line-1", "--so-pin", "12345678", "--pin", testPIN).CombinedOutput()
	if err != nil {
		w.t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	w.run(0, "hsm", "init", "--policy", "derived", "--label", "station-master", "--operator", "eve")
}

// furnish writes the station file of a place and the configuration of its HSM.
func furnish(place, hsm, module string) error {
	return errors.Join(
		os.WriteFile(filepath.Join(hsm, "softhsm2.conf"), fmt.Appendf(nil, "directories.tokendir = %s/tokens\nobjectstore.backend = file\n", hsm), 0o600),
		os.WriteFile(filepath.Join(place, "station.toml"), fmt.Appendf(nil,
			"id = \"bench-1\"\nledger = \"ledger.db\"\n[hsm]\nuri = \"pkcs11:token=line-1?module-path=%s&pin-source=file:%s/pin\"\nallow_software_token = true\n", module, hsm), 0o600))
}

func (w *workplace) command(args ...string) *exec.Cmd {
	cmd := program(w.bin, "station", args...)
	cmd.Dir = w.dir
	w.args = append(w.args, args)
	return cmd
}

// run runs a command to its end and checks its exit code.
func (w *workplace) run(code int, args ...string) (stdout, stderr string) {
	w.t.Helper()
	var out, errOut bytes.Buffer
	cmd := w.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	w.out = append(append(w.out, out.Bytes()...), errOut.Bytes()...)
	if got := cmd.ProcessState.ExitCode(); got != code {
		w.t.Fatalf("station %s: exit code %d (%v), want %d\n%s%s", strings.Join(args, " "), got, err, code, out.String(), errOut.String())
	}
	return out.String(), errOut.String()
}

// chip is a running station sim with one chip.
type simChip struct {
	address string
	buttons io.Writer
	answers *bufio.Reader
	stop    func()
	kill    func() // -9
}

// sim starts station sim and waits for its address.
func (w *workplace) sim(args ...string) *simChip {
	w.t.Helper()
	return startSim(w.t, w.command(append([]string{"sim", "--listen", "socket://127.0.0.1:0"}, args...)...))
}

func startSim(t *testing.T, cmd *exec.Cmd) *simChip {
	t.Helper()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	address, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	c := &simChip{address: strings.TrimSpace(address), buttons: in, answers: lines}
	c.stop = func() {
		if stopped {
			return
		}
		stopped = true
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_, _ = io.Copy(io.Discard, lines)
		if err := cmd.Wait(); err != nil {
			t.Errorf("station sim: %v", err)
		}
	}
	c.kill = func() {
		stopped = true
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	t.Cleanup(c.stop)
	return c
}

// seal runs one headless device; press is called with each event.
func (w *workplace) seal(code int, press func(flow.Event), args ...string) []flow.Event {
	w.t.Helper()
	cmd := w.command(append([]string{"run", "--headless", "--once"}, args...)...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	var events []flow.Event
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		w.out = append(w.out, lines.Bytes()...)
		var e flow.Event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			w.t.Errorf("not a JSON line: %s", lines.Text())
		}
		events = append(events, e)
		if press != nil {
			press(e)
		}
	}
	_ = cmd.Wait()
	w.out = append(w.out, errOut.Bytes()...)
	if got := cmd.ProcessState.ExitCode(); got != code {
		w.t.Fatalf("station run: exit code %d, want %d\n%s\nlast event %+v", got, code, errOut.String(), events[max(0, len(events)-2):])
	}
	return events
}

// press is the fixture that resets a chip without lines when an event says so.
func (c *simChip) press(e flow.Event) {
	button := map[flow.Hand]string{flow.HandLoader: "loader", flow.HandApp: "boot"}[e.Hand]
	if e.Event == flow.DeviceHand && button != "" {
		fmt.Fprintln(c.buttons, button)
	}
}

func (w *workplace) approval() string {
	out, _ := w.run(0, "job", "check", "example/job.toml")
	_, after, ok := strings.Cut(out, "plan digest  ")
	if !ok {
		w.t.Fatalf("no plan digest in\n%s", out)
	}
	return strings.Fields(after)[0]
}

func (w *workplace) manualJob() {
	path := filepath.Join(w.dir, "example", "job.toml")
	b, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, append(b, "\n[device]\nreset = \"manual\"\n"...), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// One chip without modem lines, in another process: sealed by hand, with the
// real binary, then nothing of the key or the PIN is anywhere but in the fuses
// and in the token.
func TestSealByHandAndLeaveNoSecret(t *testing.T) {
	w := newWorkplace(t)
	w.manualJob()
	state := t.TempDir()
	c := w.sim("--boot", "--state", state, "--meter", filepath.Join(w.dir, "meter.json"))
	approval := w.approval()
	w.run(0, "batch", "open", "b1", "--devices", "1", "--operator", "anna")
	w.seal(2, nil, "--job", "example/job.toml", "--port", c.address) // not approved
	events := w.seal(0, c.press, "--job", "example/job.toml", "--port", c.address, "--approve", approval,
		"--operator", "anna", "--batch", "b1", "--log", "run.jsonl", "--verbose")
	last := events[len(events)-1]
	if last.Event != flow.LineDone || last.Counts == nil || last.Counts.Passed != 1 {
		t.Errorf("last event: %+v", last)
	}
	if !slices.ContainsFunc(events, func(e flow.Event) bool {
		return e.Event == flow.StepDone && e.Step == "boot" && strings.Contains(e.Console, "station-example: ready")
	}) {
		t.Error("no event tells what the device printed at its start")
	}
	wantHands(t, events, flow.HandLoader, flow.HandNone, flow.HandApp, flow.HandNone)
	if !bytes.Contains(w.out, []byte("station: device.passed 1 02:00:00:00:00:00 seal PASS (")) {
		t.Error("--verbose does not tell that the device passed")
	}
	if !bytes.Contains(w.out, []byte("station: line.done 1 passed (0 of them sealed before), 0 to put back")) {
		t.Error("--verbose does not tell what the line came to")
	}
	// Approved once, a second time it needs no approval, and passes untouched.
	events = w.seal(0, c.press, "--job", "example/job.toml", "--port", c.address)
	if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Event == flow.DevicePassed && e.Already }) {
		t.Error("a sealed device put back does not pass as already sealed")
	}
	fmt.Fprintln(c.buttons, "loader")
	w.run(0, "probe", "--port", c.address, "--job", "example/job.toml", "--verbose")
	c.stop()
	list, _ := w.run(0, "ledger", "list")
	if !strings.Contains(list, "PASS") {
		t.Errorf("ledger list:\n%s", list)
	}
	w.run(0, "ledger", "show", strings.Fields(strings.Split(list, "\n")[1])[0])
	w.run(0, "ledger", "verify")
	w.run(0, "key", "list", "--verbose")
	w.run(0, "hsm", "status")

	fuses, err := os.ReadFile(filepath.Join(state, "efuse.bin"))
	if err != nil {
		t.Fatal(err)
	}
	block1 := fuses[28:60]
	if bytes.Equal(block1, make([]byte, 32)) {
		t.Fatal("no key was burned")
	}
	w.searchFor(block1)
}

// wantHands checks what a hand had to do during one device, and that each
// asking said until when.
func wantHands(t *testing.T, events []flow.Event, want ...flow.Hand) {
	t.Helper()
	var got []flow.Hand
	for _, e := range events {
		if e.Event != flow.DeviceHand {
			continue
		}
		got = append(got, e.Hand)
		if asks := e.Hand != flow.HandNone; asks != e.Until.After(e.Time) || e.Slot == "" || e.Port == "" || e.Message == "" {
			t.Errorf("event %+v", e)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("a hand had to do %q, want %q", got, want)
	}
}

// searchFor looks through every byte that was written or printed for the key
// in BLOCK1 and for what else must be nowhere.
func (w *workplace) searchFor(block1 []byte, more ...map[string][]byte) {
	w.t.Helper()
	needles := map[string][]byte{"PIN": []byte(testPIN)}
	look := func(order string, key []byte) {
		needles["key, "+order] = key
		needles["hex, "+order] = []byte(hex.EncodeToString(key))
		needles["HEX, "+order] = []byte(strings.ToUpper(hex.EncodeToString(key)))
		needles["base64, "+order] = []byte(base64.RawStdEncoding.EncodeToString(key))
		needles["base64url, "+order] = []byte(base64.RawURLEncoding.EncodeToString(key))
		needles["half, "+order] = key[:16]
	}
	for order, key := range keyOrders(block1) {
		look(order, key)
	}
	for _, list := range more {
		for name, secret := range list {
			look(name, secret)
			for skip := 1; skip < 3; skip++ { // within a longer text in base64
				whole := base64.StdEncoding.EncodeToString(append(make([]byte, skip), secret...))
				needles[fmt.Sprintf("base64, %s, %d behind", name, skip)] = []byte(whole[4 : len(whole)-4])
			}
		}
	}
	places := map[string][]byte{"output": w.out, "arguments": fmt.Append(nil, w.args)}
	err := filepath.WalkDir(w.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		places[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(places) < 10 || len(places[filepath.Join(w.dir, "run.jsonl")]) == 0 || len(places[filepath.Join(w.dir, "ledger.db")]) == 0 {
		w.t.Fatalf("only %d places were searched", len(places))
	}
	for place, content := range places {
		for name, needle := range needles {
			if bytes.Contains(content, needle) {
				w.t.Errorf("%s holds the %s", place, name)
			}
		}
	}
}

// keyOrders are the orders in which a key's bytes pass through programs.
func keyOrders(block1 []byte) map[string][]byte {
	file := slices.Clone(block1)
	slices.Reverse(file)
	swapped := make([]byte, 0, 32)
	for i := 0; i < 32; i += 4 {
		swapped = binary.BigEndian.AppendUint32(swapped, binary.LittleEndian.Uint32(block1[i:]))
	}
	return map[string][]byte{"as fused": block1, "as in a key file": file, "words swapped": swapped}
}
