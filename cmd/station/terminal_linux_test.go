package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
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

// onTerminal starts a command as the leader of a session on a terminal of its
// own, and returns the other end of it.
func onTerminal(t *testing.T, cmd *exec.Cmd) *os.File {
	t.Helper()
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	// A terminal ends when nobody holds or reads it any more: a read that waits
	// must let go of it when it is closed.
	defer ours.Close()
	fd, err := unix.Dup(int(ours.Fd()))
	if err == nil {
		err = unix.SetNonblock(fd, true)
	}
	if err != nil {
		t.Fatal(err)
	}
	unix.CloseOnExec(fd)
	terminal := os.NewFile(uintptr(fd), ours.Name())
	t.Cleanup(func() { terminal.Close() })
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	return terminal
}

// ended waits for the end of a command that nobody stops.
func ended(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	stuck := time.AfterFunc(2*time.Minute, func() {
		t.Error("the station does not end")
		_ = cmd.Process.Kill()
	})
	defer stuck.Stop()
	_ = cmd.Wait()
	return cmd.ProcessState.ExitCode()
}

// brokenOff checks a device whose station was left alone while it burned: what
// was begun is finished, and the device goes on when it is put back.
func (tr *trial) brokenOff(begun ...string) {
	tr.t.Helper()
	if got := tr.burned(); !slices.Equal(got, tr.announced()) || begun != nil && !slices.Equal(got, begun) {
		tr.t.Errorf("burned %v, announced %v, want %v", got, tr.announced(), begun)
	}
	tr.stopped("boot", nil)
	tr.finish()
}

// The reader of the events goes away while a fuse is burned: the burn is
// finished, and nothing is begun that nobody would hear of.
func TestReaderGoesAway(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	cmd := tr.program("station", tr.runCommand()...)
	var errOut bytes.Buffer
	cmd.Stderr = &errOut
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	readUntil(t, out, "burn-key")
	out.Close()
	if code := ended(t, cmd); code != 3 || !strings.Contains(errOut.String(), "the line was stopped") || !strings.Contains(errOut.String(), "broken pipe") {
		t.Errorf("exit code %d\n%s", code, errOut.String())
	}
	tr.brokenOff("key", "key-protect")
}

// readUntil reads events until a step begins.
func readUntil(t *testing.T, r io.Reader, step string) {
	t.Helper()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		var e flow.Event
		if json.Unmarshal(lines.Bytes(), &e) == nil && e.Event == flow.StepStarted && string(e.Step) == step {
			return
		}
	}
	t.Fatalf("step %s never begins", step)
}

// The terminal is closed while a fuse is burned, under JSON lines and under the
// operator's screen.
func TestTerminalClosed(t *testing.T) {
	f := newFloor(t)
	t.Run("lines", func(t *testing.T) {
		tr := f.trial(t)
		moment := filepath.Join(tr.dir, "moment")
		if err := unix.Mkfifo(moment, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := tr.program("interrupted", tr.runArgs()...)
		cmd.Env = append(cmd.Env, "TERM=dumb", fmt.Sprint("INTERRUPT=tell ", slices.Index(f.moments, "after the entry burn.intended key")))
		ours := onTerminal(t, cmd)
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		if _, err := os.ReadFile(moment); err != nil { // waits for it
			t.Fatal(err)
		}
		ours.Close()
		if code := ended(t, cmd); code != 3 { // it could not say how it ended
			t.Errorf("exit code %d, want 3", code)
		}
		tr.brokenOff("key", "key-protect")
	})
	t.Run("screen", func(t *testing.T) {
		tr := f.trial(t)
		tr.run(1, "signal 0 2") // approves
		cmd := tr.program("station", "run", "--once", "--job", tr.job, "--port", tr.chip.address, "--operator", "anna", "--log", "log")
		cmd.Env = append(cmd.Env, "TERM=tmux-256color") // is not asked for its colours
		if err := unix.Mkfifo(filepath.Join(tr.dir, "log"), 0o600); err != nil {
			t.Fatal(err)
		}
		ours := onTerminal(t, cmd)
		go func() { _, _ = io.Copy(io.Discard, ours) }()
		log, err := os.Open(filepath.Join(tr.dir, "log"))
		if err != nil {
			t.Fatal(err)
		}
		defer log.Close()
		readUntil(t, log, "burn-key")
		go func() { _, _ = io.Copy(io.Discard, log) }()
		ours.Close()
		if code := ended(t, cmd); code == 0 || code == killed {
			t.Errorf("exit code %d", code)
		}
		tr.brokenOff()
	})
}

// A station that was told to ignore the end of the terminal (nohup) does.
func TestNohup(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	line := "trap '' HUP; exec " + filepath.Join(tr.bin, "station") + " " + strings.Join(tr.runCommand(), " ")
	cmd := tr.program("station")
	cmd.Path, cmd.Args = "/bin/sh", []string{"sh", "-c", line}
	events, stderr := watchRun(t, cmd, func(e flow.Event) {
		if e.Event == flow.StepStarted && e.Step == "flash" {
			_ = cmd.Process.Signal(syscall.SIGHUP)
		}
		tr.attend(e)
	})
	if !slices.ContainsFunc(events, func(e flow.Event) bool { return e.Verdict == record.Pass }) {
		t.Errorf("got %v\n%s", events, stderr)
	}
}

// Ctrl-C at the question for the PIN leaves a terminal that echoes.
func TestInterruptedQuestion(t *testing.T) {
	w := newWorkplace(t)
	b, err := os.ReadFile(filepath.Join(w.dir, "station.toml"))
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(b), "&pin-source")
	if err := os.WriteFile(filepath.Join(w.dir, "station.toml"), []byte(before+"\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := w.command("key", "list")
	cmd.Env = append(os.Environ(), "TERM=dumb")
	ours := onTerminal(t, cmd)
	said := make([]byte, 256)
	n, err := ours.Read(said)
	if err != nil || !strings.Contains(string(said[:n]), "PIN") {
		t.Fatalf("%s, %v", said[:n], err)
	}
	for echoes(t, ours) { // the question comes before the echo goes
		time.Sleep(time.Millisecond)
	}
	if _, err := ours.Write([]byte{3}); err != nil {
		t.Fatal(err)
	}
	if code := ended(t, cmd); code == 0 || code == killed || !echoes(t, ours) {
		t.Errorf("exit code %d, echo %v", code, echoes(t, ours))
	}
}

func echoes(t *testing.T, terminal *os.File) bool {
	t.Helper()
	raw, err := terminal.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var state *unix.Termios
	ctlErr := raw.Control(func(fd uintptr) { state, err = unix.IoctlGetTermios(int(fd), unix.TCGETS) })
	if err := errors.Join(ctlErr, err); err != nil {
		t.Fatal(err)
	}
	return state.Lflag&unix.ECHO != 0
}
