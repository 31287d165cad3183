package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"station/internal/flow"
	"station/internal/record"
)

// fullPipe is a pipe that takes nothing any more, and that nobody reads.
func fullPipe(t *testing.T) *os.File {
	t.Helper()
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	r, w := os.NewFile(uintptr(fds[0]), "reader"), os.NewFile(uintptr(fds[1]), "writer")
	t.Cleanup(func() { r.Close(); w.Close() })
	if err := unix.SetNonblock(fds[1], true); err != nil {
		t.Fatal(err)
	}
	for size := 64 << 10; size > 0; size /= 2 {
		for {
			if _, err := unix.Write(fds[1], bytes.Repeat([]byte{'x'}, size)); err != nil {
				break
			}
		}
	}
	if err := unix.SetNonblock(fds[1], false); err != nil { // as a shell makes them
		t.Fatal(err)
	}
	return w
}

// logPipe is a pipe for --log.
func (tr *trial) logPipe() *os.File {
	t := tr.t
	t.Helper()
	path := filepath.Join(tr.dir, "log")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0) // does not wait for the station
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// follow passes on to see what is told in a log's pipe. ended closes it, when
// the station has ended.
func follow(t *testing.T, f *os.File, see func(flow.Event)) (ended func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for lines := bufio.NewScanner(f); lines.Scan(); {
			var e flow.Event
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("not a JSON line: %s", lines.Text())
			}
			see(e)
		}
	}()
	return func() { f.Close(); <-done }
}

// stopAt sends SIGTERM when a step begins, and attends to the chip until then.
func (tr *trial) stopAt(cmd *exec.Cmd, step string, stopped *time.Time) func(flow.Event) {
	return func(e flow.Event) {
		if e.Event == flow.StepStarted && string(e.Step) == step && stopped.IsZero() {
			*stopped = time.Now()
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		tr.attend(e)
	}
}

// Nobody reads what the station says: devices are made, a stop stops, and the
// ledger is right.
func TestNobodyReads(t *testing.T) {
	f := newFloor(t)
	t.Run("standard output and error", func(t *testing.T) {
		tr := f.trial(t)
		cmd := tr.program("station", append(tr.runCommand(), "--verbose", "--log", "log")...)
		cmd.Stdout, cmd.Stderr = fullPipe(t), fullPipe(t)
		var told []string
		log := tr.logPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		read := follow(t, log, func(e flow.Event) {
			told = append(told, e.Event)
			tr.attend(e)
		})
		code := ended(t, cmd)
		if read(); code != 0 {
			t.Errorf("exit code %d, %v", code, told)
		}
		tr.finish()
	})
	inTime(t, "stopped while nobody reads standard output and error", func(t *testing.T) bool {
		tr := f.trial(t)
		cmd := tr.program("station", append(tr.runCommand(), "--verbose", "--log", "log")...)
		cmd.Stdout, cmd.Stderr = fullPipe(t), fullPipe(t)
		var at time.Time
		log := tr.logPipe()
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		read := follow(t, log, tr.stopAt(cmd, "flash", &at))
		code := ended(t, cmd)
		read()
		return tr.stoppedIn(code, at)
	})
	t.Run("a pipe as log without a reader", func(t *testing.T) {
		tr := f.trial(t)
		if err := unix.Mkfifo(filepath.Join(tr.dir, "log"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := tr.program("station", append(tr.runCommand(), "--log", "log")...)
		events, stderr := watchRun(t, cmd, tr.attend)
		if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Verdict == record.Pass }) {
			t.Errorf("got %v\n%s", events, stderr)
		}
		tr.finish()
	})
	t.Run("a full pipe as log", func(t *testing.T) {
		tr := f.trial(t)
		path := filepath.Join(tr.dir, "log")
		if err := unix.Mkfifo(path, 0o600); err != nil {
			t.Fatal(err)
		}
		log, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		conn, err := log.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.Control(func(fd uintptr) {
			for n, err := 1, error(nil); n > 0 && err == nil; {
				n, err = unix.Write(int(fd), bytes.Repeat([]byte{'x'}, 4096))
			}
		})
		cmd := tr.program("station", append(tr.runCommand(), "--log", "log")...)
		events, stderr := watchRun(t, cmd, tr.attend)
		if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Verdict == record.Pass }) || !strings.Contains(stderr, "nobody read it") {
			t.Errorf("got %v\n%s", events, stderr)
		}
		tr.finish()
	})
	inTime(t, "the terminal", func(t *testing.T) bool {
		tr := f.trial(t)
		tr.run(1, "signal 0 2") // approves
		cmd := tr.program("station", "run", "--once", "--job", tr.job, "--port", tr.chip.address, "--operator", "anna", "--log", "log")
		cmd.Env = append(cmd.Env, "TERM=tmux-256color") // is not asked for its colours
		var at time.Time
		log := tr.logPipe()
		ours := onTerminal(t, cmd)
		read := follow(t, log, tr.stopAt(cmd, "flash", &at))
		if err := pty.Setsize(ours, &pty.Winsize{Cols: 200, Rows: 60}); err != nil {
			t.Fatal(err)
		}
		code := ended(t, cmd)
		read()
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		return tr.stoppedIn(code, at)
	})
}

// inTime runs a test that stops a line in its flash step. On a machine that does a
// lot else the stop may come when the device is finished already: then it is tried
// again.
func inTime(t *testing.T, name string, try func(t *testing.T) bool) {
	t.Run(name, func(t *testing.T) {
		for range 10 {
			if try(t) || t.Failed() {
				return
			}
		}
		t.Error("no stop stops it")
	})
}

// stoppedIn checks a line that was told to stop in its flash step; false: it was
// told too late.
func (tr *trial) stoppedIn(code int, at time.Time) bool {
	tr.t.Helper()
	if list := tr.entries(); code == 0 && len(list) > 0 && list[len(list)-1].Kind == record.Sealed {
		return false
	}
	if code != 1 {
		tr.t.Errorf("exit code %d", code)
	}
	tr.t.Logf("stopped within %v", time.Since(at))
	tr.stopped("flash", nil)
	tr.finish()
	return true
}
