package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"station/internal/flow"
	"station/internal/racetest"
	"station/internal/record"
)

func init() {
	limitFiles = func(pid, n int) {
		var limit unix.Rlimit
		if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, nil, &limit); err != nil {
			panic(err)
		}
		limit.Cur = limit.Max
		if n >= 0 {
			limit.Cur = uint64(n)
		}
		if err := unix.Prlimit(pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
			panic(err)
		}
	}
}

// The disk takes nothing any more, from any entry on: no fuse is burned whose
// intent could not be written, nobody reads PASS, and with room again the
// device is finished.
func TestDiskFullAnywhere(t *testing.T) {
	f := newFloor(t)
	var m matrix
	var cases racetest.Sample
	m.publish(t, "station-disk")
	const class = "the disk takes nothing any more, from an entry of the ledger on"
	points := momentsOf(f.moments, "before the entry")
	m.plan(class, len(points))
	for _, i := range points {
		if cases.Out(sampleOf) {
			continue
		}
		t.Run(fmt.Sprintf("%03d %s", i, f.moments[i]), func(t *testing.T) {
			t.Parallel()
			m.count(class, f.full(t, i))
		})
	}
}

// full fills the disk at a moment of a visit, and tells how it ended.
func (f *floor) full(t *testing.T, at int) string {
	tr := f.trial(t)
	events := tr.run(3, fmt.Sprint("full ", at))
	if strings.HasSuffix(f.moments[at], "plan.approved") {
		if len(events) > 0 {
			t.Errorf("a line was begun without an approval: %v", events)
		}
		return "no device begun, exit 3; " + tr.finish()
	}
	last := slices.IndexFunc(events, func(e flow.Event) bool { return e.Verdict != "" })
	if last < 0 || events[last].Verdict != record.Station || events[last].Code != "E-LEDGER" {
		t.Errorf("got %v, want STATION E-LEDGER", events)
	}
	if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Event == flow.LineHalted && e.Code == "E-LEDGER" }) {
		t.Error("the line is not halted")
	}
	tr.honest()
	if want := f.announcedBefore(at); !slices.Equal(tr.burned(), want) {
		t.Errorf("burned %v, want %v", tr.burned(), want)
	}
	return "STATION E-LEDGER, exit 3; " + tr.finish()
}

// announcedBefore are the stages whose intent is on disk before the moment.
func (f *floor) announcedBefore(moment int) (list []string) {
	for _, name := range f.moments[:moment] {
		if stage, ok := strings.CutPrefix(name, "after the entry burn.intended "); ok {
			list = append(list, stage)
		}
	}
	return list
}

// The disk is full for a while: the line is halted as long as that lasts, and
// then finishes the device that met it, with no hand on it.
func TestDiskFullForAWhile(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	tr.withoutLedger("flash", func(pid int) { limitFiles(pid, 0) }, func(pid int) {
		tr.honest()
		tr.chip.do(t, "loader") // wherever it was stopped
		limitFiles(pid, -1)
	})
}

// A user without the right to write the records burns nothing.
func TestLedgerWithoutRights(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	tr.run(1, "signal 0 2")
	path := filepath.Join(tr.dir, "ledger.db")
	for _, dir := range []string{tr.dir, f.dir} {
		if err := errors.Join(os.Chmod(dir, 0o755), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getuid() == 0 { // the token is whose the station is
		err := filepath.WalkDir(filepath.Join(tr.dir, "hsm"), func(path string, _ fs.DirEntry, err error) error {
			return errors.Join(err, os.Chown(path, nobody, nobody))
		})
		if err := errors.Join(err, os.Chmod(f.job, 0o644), os.Chmod(filepath.Join(tr.dir, "station.toml"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	refused := func() {
		t.Helper()
		cmd := tr.program("interrupted", tr.runArgs()...)
		cmd.Env = append(cmd.Env, "INTERRUPT=nobody")
		tr.refused(cmd, "E-LEDGER", "permission denied")
	}
	for _, mode := range []fs.FileMode{0o444, 0} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		refused()
	}
	if err := errors.Join(os.Rename(path, path+".away"), os.Chmod(tr.dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	refused()
	if err := errors.Join(os.Chmod(tr.dir, 0o755), os.Rename(path+".away", path), os.Chmod(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(filepath.Join(tr.dir, "hsm", "pin"), 0, 0); err != nil {
			t.Fatal(err)
		}
	}
	tr.finish()
}

// A log that cannot be written is said and harms nothing; events that cannot be
// told stop the line before a device is begun.
func TestOutputFull(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	events, stderr := watchRun(t, tr.program("station", append(tr.runCommand(), "--log", "/dev/full")...), tr.attend)
	if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Verdict == record.Pass }) || !strings.Contains(stderr, "goes on without its log: write /dev/full: no space left") {
		t.Errorf("got %v\n%s", events, stderr)
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	other := f.trial(t)
	cmd := other.program("station", other.runCommand()...)
	cmd.Stdout = full
	var errOut strings.Builder
	cmd.Stderr = &errOut
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 3 || !strings.Contains(errOut.String(), "the line was stopped: write /dev/stdout: no space left") {
		t.Errorf("exit code %d\n%s", code, errOut.String())
	}
	if list := other.entries(); len(list) > 0 {
		t.Errorf("a device was begun: %v", list)
	}
}

// A disk that takes its time makes a device slow and nothing else.
func TestSlowDisk(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	begin := time.Now()
	tr.run(0, "slow 100")
	if took := time.Since(begin); took < 14*100*time.Millisecond {
		t.Errorf("took %v", took)
	}
	tr.finish()
}
