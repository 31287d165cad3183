package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"station/internal/flow"
	"station/internal/record"
)

func (tr *trial) runCommand() []string { return append([]string{"run"}, tr.runArgs()...) }

// plug is the same station with another chip in the slot.
func (tr *trial) plug(mac string) *trial {
	tr.t.Helper()
	other := *tr
	other.chip = startSim(tr.t, tr.program("station", "sim", "--listen", "socket://127.0.0.1:0", "--mac", mac, "--flash-size", "1MB"))
	return &other
}

// ledgerCommand runs station ledger beside whatever runs, and returns what it says.
func (tr *trial) ledgerCommand(code int, args ...string) string {
	tr.t.Helper()
	cmd := tr.program("station", append([]string{"ledger"}, args...)...)
	out, err := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		tr.t.Errorf("ledger %v: exit code %d, want %d (%v)\n%s", args, got, code, err, out)
	}
	return string(out)
}

// A second station on the same ledger is sent away; readers are not.
func TestLedgerOfAnotherStation(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	tr.run(0, "")
	first := tr.program("station", "run", "--headless", "--job", tr.job, "--port", "socket://127.0.0.1:1")
	events, stderr := watchRun(t, first, func(e flow.Event) {
		if e.Event != flow.LineReady {
			return
		}
		tr.refused(tr.program("station", tr.runCommand()...), "E-LEDGER-LOCKED", "another station has this ledger open")
		for _, read := range [][]string{{"list"}, {"verify"}, {"show", floorMAC.String()}, {"backup", "copy.db"}} {
			tr.ledgerCommand(0, read...)
		}
		if said := tr.ledgerCommand(2, "backup", "copy.db"); !strings.Contains(said, "never overwrites") {
			t.Errorf("a second backup of the same name says %s", said)
		}
		_ = first.Process.Signal(syscall.SIGTERM)
	})
	if exit := first.ProcessState.ExitCode(); exit != 0 || len(events) != 2 {
		t.Errorf("exit code %d, %v\n%s", exit, events, stderr)
	}
}

// A backup is made while a device is in work; then the ledger is lost and the
// backup takes its place. What it knows goes on; a key that it does not know of,
// or whose burn it does not know of, is set aside, and never burned anew.
func TestBackupTakesThePlaceOfTheLedger(t *testing.T) {
	f := newFloor(t)
	for moment, code := range map[string]string{
		"before the entry key.assigned": "E-FOREIGN-KEY",
		"after the entry key.assigned":  "E-LEDGER-DISAGREES",
	} {
		t.Run(moment, func(t *testing.T) {
			tr := f.trial(t)
			tr.run(0, "")
			late := tr.plug("24:0a:c4:01:02:04")
			late.runAndBackup(slices.Index(f.moments, moment))
			tr.ledgerCommand(0, "verify", "--ledger", "copy.db")
			if err := os.Rename(filepath.Join(tr.dir, "copy.db"), filepath.Join(tr.dir, "ledger.db")); err != nil {
				t.Fatal(err)
			}

			again := tr.run(0, "")
			if !slices.ContainsFunc(again, func(e flow.Event) bool { return e.Event == flow.DevicePassed && e.Already }) {
				t.Errorf("a device that the backup knows: %v", again)
			}
			tr.plug("24:0a:c4:01:02:05").run(0, "")
			unknown := late.run(1, "")
			if !slices.ContainsFunc(unknown, func(e flow.Event) bool { return e.Verdict == record.Quarantine && string(e.Code) == code }) {
				t.Errorf("a device that the backup does not know: %v", unknown)
			}
			tr.finish()
		})
	}
}

// runAndBackup seals a device and makes a backup at a moment of that.
func (tr *trial) runAndBackup(at int) {
	tr.t.Helper()
	pipe := filepath.Join(tr.dir, "moment")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		tr.t.Fatal(err)
	}
	cmd := tr.program("interrupted", tr.runArgs()...)
	cmd.Env = append(cmd.Env, fmt.Sprint("INTERRUPT=hold ", at-2)) // the plan is approved already
	events, stderr := watchRun(tr.t, cmd, func(e flow.Event) {
		tr.attend(e)
		if e.Event != flow.StepStarted || e.Step != "key" {
			return
		}
		held, err := os.OpenFile(pipe, os.O_WRONLY, 0) // when it is there
		if err != nil {
			tr.t.Fatal(err)
		}
		if said := tr.ledgerCommand(0, "backup", "copy.db"); !strings.Contains(said, "ledger is whole") {
			tr.t.Errorf("ledger backup says %s", said)
		}
		held.Close()
	})
	if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Event == flow.DevicePassed }) {
		tr.t.Fatalf("%s\n%v", stderr, events)
	}
}

// Damage of the file is found before a device is touched, and named.
func TestLedgerDamaged(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	tr.run(0, "")
	path := filepath.Join(tr.dir, "ledger.db")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := len(bytes.TrimRight(whole, "\x00")) // the file grows ahead of its content
	flip := func(at int) []byte {
		b := bytes.Clone(whole)
		b[at] ^= 0x10
		return b
	}
	for _, c := range []struct {
		name string
		file []byte
		runs bool // the line does not look there
	}{
		{"its tail is cut", whole[:used-1], false},
		{"half of it is cut", whole[:used/2], false},
		{"it is empty", nil, false},
		{"it is another file", []byte(strings.Repeat("not a ledger\n", 1000)), false},
		{"a bit of the first header", flip(8192*0 + 40), false},
		{"a bit of the second header", flip(8192*1 + 40), false},
		{"a bit of the first entry", flip(bytes.Index(whole, []byte("ledger.created"))), false},
		{"a bit of an entry", flip(bytes.LastIndex(whole, []byte("flash.verified"))), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := os.WriteFile(path, c.file, 0o600); err != nil {
				t.Fatal(err)
			}
			tr := *tr
			tr.t = t
			if !c.runs {
				tr.refused(tr.program("station", tr.runCommand()...), "E-LEDGER-DAMAGED")
			}
			if said := tr.ledgerCommand(3, "verify"); !strings.Contains(said, "FAULT ") {
				t.Errorf("ledger verify says %s", said)
			}
			tr.ledgerCommand(3, "backup", "copy.db")
			if _, err := os.Stat(filepath.Join(tr.dir, "copy.db")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a backup of damage was left: %v", err)
			}
		})
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	tr.finish()
}
