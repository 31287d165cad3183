package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"station/internal/chip"
	"station/internal/flow"
	"station/internal/ledger"
	"station/internal/record"
)

// command runs the program in the trial's folder, beside whatever runs.
func (tr *trial) command(code int, args ...string) string {
	tr.t.Helper()
	cmd := tr.program("station", args...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		tr.t.Errorf("station %v: exit code %d, want %d (%v)\n%s", args, got, code, err, out)
	}
	return string(out)
}

// remarks are the entries that people wrote beside the line, in order.
func (tr *trial) remarks() (list []string) {
	tr.t.Helper()
	book := tr.book(ledger.Options{ReadOnly: true})
	defer book.Close()
	for e, err := range book.Entries(0) {
		if err != nil {
			tr.t.Fatal(err)
		}
		switch e.Kind {
		case record.LabelPrinted, record.BatchOpened, record.BatchClosed, record.Released, record.KeyRecovered, record.LedgerKey:
			list = append(list, strings.TrimSpace(string(e.Kind)+" "+e.Operator))
			if e.Station != "bench-1" || e.Software == "" {
				tr.t.Errorf("%s was written at station %q with %q", e.Kind, e.Station, e.Software)
			}
		}
	}
	return list
}

func (tr *trial) book(o ledger.Options) *ledger.Ledger {
	tr.t.Helper()
	book, err := ledger.Open(filepath.Join(tr.dir, "ledger.db"), o)
	if err != nil {
		tr.t.Fatal(err)
	}
	return book
}

// While the line seals devices, people do their work with its ledger.
func TestCommandsBesideALine(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	aside := chip.MAC{0x24, 0x0a, 0xc4, 9, 9, 9}
	book := tr.book(ledger.Options{Create: true})
	if _, err := book.AppendAll(visitEntries(aside, "b0", "QUARANTINE E-BOOT-SELFKEY")); err != nil {
		t.Fatal(err)
	}
	if err := book.Close(); err != nil {
		t.Fatal(err)
	}
	f.officer()
	second := startSim(t, tr.program("station", "sim", "--listen", "socket://127.0.0.1:0", "--mac", "24:0a:c4:01:02:04",
		"--flash-size", "1MB", "--boot")) // does not answer until somebody puts it into its loader
	line := tr.program("station", "run", "--headless", "--count", "2", "--job", tr.job, "--port", tr.chip.address, "--port", second.address,
		"--approve", tr.approval, "--operator", "line")
	beside := func() {
		mac := floorMAC.String()
		tr.command(0, "label", mac, "--operator", "anna", "--out", "label.zpl")
		if said := tr.command(2, "label", mac, "--operator", "bob", "--format", "zpl"); !strings.Contains(said, "printed before") {
			t.Errorf("a second label: %s", said)
		}
		tr.command(0, "batch", "open", "b7", "--devices", "5", "--operator", "anna")
		if said := tr.command(2, "batch", "open", "b7", "--devices", "5", "--operator", "bob"); !strings.Contains(said, "was opened before") {
			t.Errorf("a batch of the same name: %s", said)
		}
		if said := tr.command(0, "batch", "close", "b7", "--operator", "carl", "--anyway", "order cancelled", "--out", "b7.certificate"); !strings.Contains(said, "if it makes this batch, it halts") {
			t.Errorf("batch close beside a line: got %s", said)
		}
		tr.command(0, "ledger", "release", aside.String(), "--operator", "eve", "--reason", "wrong job file")
		tr.command(0, "key", "recover", mac, "--operator", "eve", "--reason", "audit", "--to", filepath.Join(f.dir, "officer.pem"), "--out", "key.wrapped")
		tr.command(0, "ledger", "checkpoint", "--out", "head.checkpoint")
		tr.command(0, "ledger", "prove", mac, "--out", "device.proof")
		tr.command(0, "ledger", "verify")
	}
	events, stderr := watchRun(t, line, func(e flow.Event) {
		c := tr.chip
		if e.Port == second.address {
			c = second
		}
		button := map[flow.StepID]string{"boot": "boot", "lock": "loader", "last-boot": "boot"}[e.Step]
		if e.Event == flow.StepStarted && button != "" {
			c.do(t, button)
		}
		if e.Event == flow.DevicePassed && c == tr.chip {
			beside()
			second.do(t, "loader") // the line goes on
		}
	})
	if last := events[len(events)-1]; line.ProcessState.ExitCode() != 0 || last.Counts == nil || last.Counts.Passed != 2 {
		t.Errorf("the line: %v, %+v\n%s", line.ProcessState, last, stderr)
	}
	want := []string{"label.printed anna", "batch.opened anna", "ledger.key", "batch.closed carl", "device.released eve", "key.recovered eve"}
	got := tr.remarks()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("the ledger has %q, want %q", got, want)
	}
	if said := tr.command(0, "ledger", "verify"); !strings.Contains(said, "ledger is whole") {
		t.Error(said)
	}
	kept, err := os.ReadFile(filepath.Join(tr.dir, "head.checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	book = tr.book(ledger.Options{ReadOnly: true})
	defer book.Close()
	if _, err := book.ProveConsistency(kept); err != nil {
		t.Errorf("the checkpoint that was signed beside the line: %v", err)
	}
	if d, _, err := book.Device(aside); d.SetAside || err != nil {
		t.Errorf("the released device: %+v, %v", d, err)
	}
	if _, err := os.Lstat(filepath.Join(tr.dir, "ledger.db.door")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the line left its door: %v", err)
	}
}

// A line that ends while a batch is being closed through its door takes the certificate
// from nobody.
func TestCloseBesideALineThatIsKilled(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	if err := tr.book(ledger.Options{Create: true}).Close(); err != nil {
		t.Fatal(err)
	}
	tr.command(0, "batch", "open", "b1", "--devices", "1", "--operator", "carl")
	line := tr.program("station", "run", "--headless", "--job", tr.job, "--approve", tr.approval, "--operator", "line", "--port", "socket://127.0.0.1:1")
	_, told := watchRun(t, line, func(e flow.Event) {
		if e.Event != flow.LineReady {
			return
		}
		closing := tr.program("station", "batch", "close", "b1", "--operator", "carl", "--anyway", "order cancelled", "--out", "b1.certificate")
		var said strings.Builder
		closing.Stdout, closing.Stderr = &said, &said
		if err := closing.Start(); err != nil {
			t.Fatal(err)
		}
		for !slices.Contains(tr.remarks(), "batch.closed carl") {
		}
		_ = line.Process.Signal(syscall.SIGKILL)
		if err := closing.Wait(); err != nil {
			t.Errorf("%v\n%s", err, said.String())
		}
	})
	if code := line.ProcessState.ExitCode(); code != killed {
		t.Errorf("the line: exit code %d\n%s", code, told)
	}
	if _, err := os.Stat(filepath.Join(tr.dir, "b1.certificate")); err != nil {
		t.Error(err)
	}
	if n := len(slices.DeleteFunc(tr.remarks(), func(s string) bool { return s != "batch.closed carl" })); n != 1 {
		t.Errorf("it was closed %d times", n)
	}
}

// A line that was killed leaves its door behind. Nobody is there, and the
// ledger is free.
func TestDoorOfAKilledLine(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	tr.run(0, "")
	idle := func(then func()) {
		t.Helper()
		line := tr.program("station", "run", "--headless", "--job", tr.job, "--port", "socket://127.0.0.1:1")
		_, stderr := watchRun(t, line, func(e flow.Event) {
			if e.Event != flow.LineReady {
				return
			}
			if _, err := os.Lstat(filepath.Join(tr.dir, "ledger.db.door")); err != nil {
				t.Errorf("the line has no door: %v", err)
			}
			then()
			_ = line.Process.Signal(syscall.SIGKILL)
		})
		if code := line.ProcessState.ExitCode(); code != killed {
			t.Errorf("exit code %d\n%s", code, stderr)
		}
	}
	mac := floorMAC.String()
	idle(func() {})
	tr.command(0, "label", mac, "--operator", "anna", "--out", "1.zpl")
	idle(func() { tr.command(0, "label", mac, "--operator", "bob", "--out", "2.zpl", "--reprint") })
	tr.command(0, "batch", "open", "b1", "--devices", "1", "--operator", "carl")
	if got, want := tr.remarks(), []string{"ledger.key", "label.printed anna", "label.printed bob", "batch.opened carl"}; !slices.Equal(got, want) {
		t.Errorf("the ledger has %q, want %q", got, want)
	}
	tr.finish()
}
