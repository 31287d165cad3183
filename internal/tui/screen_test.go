//go:build unix

package tui

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"station/internal/flow"
	"station/internal/ttytest"
)

// show runs a screen on a pseudo-terminal.
func show(t *testing.T, ctx context.Context, cfg Config, cols, rows int) (*Screen, *ttytest.Terminal, <-chan error) {
	t.Helper()
	term, tty := ttytest.Open(t, cols, rows)
	s := NewScreen(cfg, tty, tty)
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return s, term, done
}

func wait(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(ttytest.Patience):
		t.Fatal("the screen does not end")
		return nil
	}
}

func TestScreenOnATerminal(t *testing.T) {
	quit := make(chan struct{})
	s, term, done := show(t, t.Context(), Config{Simulation: true, Quit: func() { close(quit) }}, 80, 24)
	for _, e := range events(t, "line4") {
		if e.Event != flow.LineDone {
			s.Emit(e)
		}
	}
	term.Wait("SIMULATION", "BROWNOUT", "sim://4", "done 7")
	term.Resize(120, 40)
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	term.Until("the tiles fill the larger window", func(screen string) bool {
		lines := strings.Split(screen, "\n")
		return len(lines) == 40 && strings.Contains(lines[39], "quit")
	})
	s.Emit(burns("2"))
	term.Wait("DO NOT UNPLUG")
	term.Press("q")
	term.Wait("Stop the line?", "finished first")
	term.Press("enter")
	<-quit
	term.Wait("STOPPING: fuses are burned in slot 2")
	s.Emit(passed("2"))
	s.Emit(flow.Event{Time: morning, Event: flow.LineDone})
	if err := wait(t, done); err != nil {
		t.Error(err)
	}
	term.Restored()
	if term.Bells() == 0 {
		t.Error("no result rang")
	}
	s.Emit(passed("1")) // after the end: nothing happens
}

// The context stops the line, and the screen ends when the line has.
func TestScreenEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	quit := make(chan struct{})
	s, term, done := show(t, ctx, Config{Start: func() error { return nil }, Quit: func() { close(quit) }}, 80, 24)
	s.Emit(burns("1"))
	term.Wait("DO NOT UNPLUG")
	cancel()
	<-quit
	term.Wait("STOPPING")
	s.Emit(flow.Event{Time: morning, Event: flow.LineDone})
	if err := wait(t, done); err != nil {
		t.Error(err)
	}
}

// A panic anywhere in the screen gives the terminal back, stops the line in an
// orderly way, and is told with its stack.
func TestPanicRestoresTheTerminal(t *testing.T) {
	for _, c := range []struct {
		where string
		spoil func(m *Model)
		event flow.Event
		stack string
	}{
		{"Update", func(m *Model) { m.unseen, m.cfg.Ack = nil, func(string) {} }, failed("1"), "(*Model).fold"},
		{"View", func(m *Model) { m.chosen = -1 }, started("1"), "(*Model).View"},
		{"a command", func(m *Model) { m.cfg.Bell = func() { panic("the bell fell") } }, passed("1"), "screen_test.go"},
	} {
		t.Run(c.where, func(t *testing.T) {
			term, tty := ttytest.Open(t, 80, 24)
			quit := make(chan struct{})
			s := NewScreen(Config{Start: func() error { return nil }, Quit: func() { close(quit) }}, tty, tty)
			c.spoil(s.model)
			done := make(chan error, 1)
			go func() { done <- s.Run(t.Context()) }()
			term.Wait("Please wait.")
			s.Emit(c.event)
			<-quit
			select {
			case err := <-done:
				t.Fatalf("the screen ended before the line did: %v", err)
			default:
			}
			s.Emit(flow.Event{Time: morning, Event: flow.LineDone})
			err := wait(t, done)
			if err == nil || !strings.Contains(err.Error(), "screen: panic: ") || !strings.Contains(err.Error(), c.stack) {
				t.Errorf("got %v, want the panic and its stack", err)
			}
			term.Restored()
		})
	}
}

// A terminal that takes nothing holds up neither the line nor its stop.
func TestScreenNeverSlowsTheLine(t *testing.T) {
	in, _ := io.Pipe()
	_, out := io.Pipe() // nobody reads: every write blocks
	s := NewScreen(Config{Quit: func() {}, Start: func() error { return nil }}, in, out)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	progress := flow.Event{Time: morning, Event: flow.StepProgress, Slot: "1", Percent: 1}
	emitted := make(chan bool)
	go func() {
		for range 20_000 {
			s.Emit(progress)
		}
		close(emitted)
	}()
	select {
	case <-emitted:
	case <-time.After(time.Minute):
		t.Error("the line waits for the terminal")
	}
	cancel()
	s.Emit(flow.Event{Time: morning, Event: flow.LineDone})
	if err := wait(t, done); err != nil {
		t.Error(err)
	}
	if n := len(s.pending); n > maxPending {
		t.Errorf("%d events wait", n)
	}
}

// A terminal that hangs up while nobody waits for its keys has no error, only an end.
func TestScreenWithoutAKeyboard(t *testing.T) {
	term, tty := ttytest.Open(t, 80, 24)
	in, keys, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	quit := make(chan struct{})
	s := NewScreen(Config{Start: func() error { return nil }, Quit: func() { close(quit) }}, in, tty)
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	term.Wait("Please wait.")
	keys.Close()
	select {
	case <-quit:
	case <-time.After(ttytest.Patience):
		t.Fatal("the screen goes on")
	}
	s.Emit(flow.Event{Time: morning, Event: flow.LineDone})
	if err := wait(t, done); !errors.Is(err, errHungUp) {
		t.Errorf("got %v", err)
	}
}

func TestReplayOnATerminal(t *testing.T) {
	term, tty := ttytest.Open(t, 80, 24)
	done := make(chan error, 1)
	go func() { done <- Replay(t.Context(), Config{}, events(t, "scrap"), 1000, tty, tty) }()
	term.Wait("REPLAY: this is the end", "E-FUSE-BURN")
	term.Press("q")
	if err := wait(t, done); err != nil {
		t.Error(err)
	}
	if err := Replay(t.Context(), Config{}, nil, 1, tty, tty); err == nil {
		t.Error("a replay of nothing: want an error")
	}
}

// A start that fails ends the screen with its error.
func TestScreenOfAFailedStart(t *testing.T) {
	broken := errors.New("ledger: locked by another program")
	_, _, done := show(t, t.Context(), Config{Start: func() error { return broken }}, 80, 24)
	if err := wait(t, done); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct {
		env     map[string]string
		windows bool
		want    bool
	}{
		{map[string]string{"TERM": "xterm", "LANG": "de_DE.UTF-8"}, false, false},
		{map[string]string{"TERM": "xterm", "LANG": "zh_CN.utf8"}, false, false},
		{map[string]string{"TERM": "xterm", "LANG": "C.UTF-8", "LC_ALL": "C"}, false, true},
		{map[string]string{"TERM": "dumb", "LANG": "C.UTF-8"}, false, true},
		{map[string]string{"TERM": "linux"}, false, true},
		{nil, true, false},
	} {
		if got := PlainASCII(func(name string) string { return c.env[name] }, c.windows); got != c.want {
			t.Errorf("%v: got %t, want %t", c.env, got, c.want)
		}
	}
	if !WithoutColor(func(string) string { return "1" }) || WithoutColor(func(string) string { return "" }) {
		t.Error("NO_COLOR is not understood")
	}
}
