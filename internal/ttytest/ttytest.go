//go:build unix

// Package ttytest is a terminal for tests: a program runs on a real
// pseudo-terminal, and an emulator reads what it draws. Tests wait for what
// the screen says; nothing sleeps.
package ttytest

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// Patience is how long Wait waits for the screen.
const Patience = time.Minute

// Terminal is a pseudo-terminal with somebody looking at it.
type Terminal struct {
	t    testing.TB
	pty  *os.File // our side
	emu  *vt.Emulator
	cmd  *exec.Cmd
	done chan error // of the command

	mu      sync.Mutex
	drawn   *sync.Cond
	bells   int
	written int64 // bytes that the program wrote
	alt     bool  // the alternate screen is on
	cursor  bool  // the cursor is visible
	ended   bool  // nothing will be drawn any more
}

// Open makes a terminal of cols by rows. The program's side is returned too;
// the caller runs something on it.
func Open(t testing.TB, cols, rows int) (*Terminal, *os.File) {
	t.Helper()
	ours, theirs, err := pty.Open()
	if err != nil {
		t.Fatalf("pseudo-terminal: %v", err)
	}
	term := &Terminal{t: t, pty: ours, emu: vt.NewEmulator(cols, rows), cursor: true}
	term.drawn = sync.NewCond(&term.mu)
	term.emu.SetCallbacks(vt.Callbacks{
		Bell:             func() { term.bells++ },
		AltScreen:        func(on bool) { term.alt = on },
		CursorVisibility: func(on bool) { term.cursor = on },
	})
	term.size(cols, rows)
	go term.answer()
	go term.read()
	t.Cleanup(func() {
		_ = ours.Close()
		_ = theirs.Close()
		if pipe, ok := term.emu.InputPipe().(io.Closer); ok {
			_ = pipe.Close() // ends answer
		}
	})
	return term, theirs
}

// Start runs a command on a terminal of cols by rows. It is killed when the
// test ends before it does.
func Start(t testing.TB, cmd *exec.Cmd, cols, rows int) *Terminal {
	t.Helper()
	term, theirs := Open(t, cols, rows)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	// The terminal is the program's controlling one, so that it is told of a
	// new window size.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if cmd.Env == nil {
		cmd.Env = append(os.Environ(), "TERM=xterm-256color", "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "NO_COLOR=")
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	term.cmd, term.done = cmd, make(chan error, 1)
	go func() { term.done <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return term
}

// read draws what the program writes.
func (t *Terminal) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := t.pty.Read(buf)
		t.mu.Lock()
		_, _ = t.emu.Write(buf[:n])
		t.written += int64(n)
		t.ended = err != nil
		t.drawn.Broadcast()
		t.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// answer sends the emulator's replies to the program's questions.
func (t *Terminal) answer() { _, _ = io.Copy(t.pty, t.emu) }

func (t *Terminal) size(cols, rows int) {
	if err := pty.Setsize(t.pty, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)}); err != nil {
		t.t.Fatalf("window size: %v", err)
	}
}

// Resize changes the window. The program is told by SIGWINCH.
func (t *Terminal) Resize(cols, rows int) {
	t.t.Helper()
	t.mu.Lock()
	t.emu.Resize(cols, rows)
	t.mu.Unlock()
	t.size(cols, rows)
}

// keys are the names that Press knows besides single characters.
var keys = map[string]string{
	"enter": "\r", "esc": "\x1b", "tab": "\t", "space": " ", "backspace": "\x7f", "ctrl+c": "\x03",
	"up": "\x1b[A", "down": "\x1b[B", "right": "\x1b[C", "left": "\x1b[D", "home": "\x1b[H", "end": "\x1b[F",
	"f1": "\x1bOP", "f2": "\x1bOQ", "f3": "\x1bOR", "f4": "\x1bOS", "f5": "\x1b[15~", "f6": "\x1b[17~", "f10": "\x1b[21~",
}

// Press types keys by name, or text as it is.
func (t *Terminal) Press(names ...string) {
	t.t.Helper()
	for _, name := range names {
		text, ok := keys[name]
		if !ok {
			text = name
		}
		if _, err := io.WriteString(t.pty, text); err != nil {
			t.t.Fatalf("press %s: %v", name, err)
		}
	}
}

// Text is the screen, a line for each row, without spaces at their ends.
func (t *Terminal) Text() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.text()
}

func (t *Terminal) text() string {
	lines := strings.Split(t.emu.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

// Wait waits until the screen shows all of the texts.
func (t *Terminal) Wait(texts ...string) {
	t.t.Helper()
	t.Until("the screen shows "+strings.Join(texts, ", "), func(screen string) bool {
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	})
}

// Until waits until ok likes the screen; what says what is waited for.
func (t *Terminal) Until(what string, ok func(screen string) bool) {
	t.t.Helper()
	t.await(what, func() bool { return ok(t.text()) })
}

// Restored waits until the terminal is as a shell wants it: the normal screen,
// and a cursor.
func (t *Terminal) Restored() {
	t.t.Helper()
	t.await("the terminal is restored", func() bool { return !t.alt && t.cursor })
}

// await asks ok, with the lock held, whenever something was drawn.
func (t *Terminal) await(what string, ok func() bool) {
	t.t.Helper()
	late := time.AfterFunc(Patience, func() { t.drawn.Broadcast() })
	defer late.Stop()
	end := time.Now().Add(Patience)
	t.mu.Lock()
	defer t.mu.Unlock()
	for !ok() {
		if t.ended || time.Now().After(end) {
			t.t.Fatalf("waited for: %s; the screen is\n%s", what, t.text())
		}
		t.drawn.Wait()
	}
}

// Exit waits for the command and for all that it wrote, and returns its exit code.
func (t *Terminal) Exit() int {
	t.t.Helper()
	var err error
	select {
	case err = <-t.done:
	case <-time.After(Patience):
		t.t.Fatalf("the program does not end; the screen is\n%s", t.Text())
	}
	t.await("nobody has the terminal open any more", func() bool { return t.ended })
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return exit.ExitCode()
	}
	t.t.Fatal(err)
	return -1
}

// Bells is how often the bell rang.
func (t *Terminal) Bells() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.bells
}

// Written is how many bytes the program has drawn.
func (t *Terminal) Written() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.written
}
