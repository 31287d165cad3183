package tui

import (
	"flag"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"
	"github.com/muesli/termenv"

	"station/internal/flow"
)

var update = flag.Bool("update", false, "write the golden frames instead of comparing them")

const eventFiles = "../../fixtures/events"

// events are a recorded run.
func events(t testing.TB, name string) []flow.Event {
	t.Helper()
	f, err := os.Open(filepath.Join(eventFiles, name+".jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, err := ReadEvents(f)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// morning is when every recorded run begins.
var morning = time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)

// until are the events of the first seconds of a run.
func until(all []flow.Event, seconds float64) []flow.Event {
	end := morning.Add(time.Duration(seconds * float64(time.Second)))
	n := 0
	for n < len(all) && !all[n].Time.After(end) {
		n++
	}
	return all[:n]
}

func renderer(p termenv.Profile) *lipgloss.Renderer {
	r := lipgloss.NewRenderer(io.Discard)
	r.SetColorProfile(p)
	return r
}

// screen is a model in a window of w by h cells, without colours.
func screen(t testing.TB, cfg Config, w, h int) *Model {
	t.Helper()
	m := New(cfg, renderer(termenv.Ascii))
	m.started = cfg.Shift == nil
	send(m, tea.WindowSizeMsg{Width: w, Height: h})
	return m
}

// send gives messages to the model, and what its commands answer too, as far
// as they answer at once.
func send(m *Model, msgs ...tea.Msg) {
	for _, msg := range msgs {
		_, cmd := m.Update(msg)
		settle(m, cmd)
	}
}

// settle runs a command that asks somebody, and folds the answer. Ticks, bells and
// what lets a cursor blink are left alone: they take their time.
func settle(m *Model, cmd tea.Cmd) {
	if cmd == nil {
		return
	}
	if name := runtime.FuncForPC(reflect.ValueOf(cmd).Pointer()).Name(); strings.Contains(name, "Tick.func") || strings.Contains(name, "BlinkCmd.func") {
		go cmd()
		return
	}
	switch msg := cmd().(type) {
	case nil, tickMsg, playMsg:
	case tea.BatchMsg:
		for _, c := range msg {
			settle(m, c)
		}
	default:
		send(m, msg)
	}
}

func press(m *Model, keys ...string) {
	for _, k := range keys {
		send(m, keyMsg(k))
	}
}

// keyMsg is a key by its name, or a text as a scanner types it.
func keyMsg(k string) tea.KeyMsg {
	types := map[string]tea.KeyType{"enter": tea.KeyEnter, "esc": tea.KeyEsc, "up": tea.KeyUp, "down": tea.KeyDown,
		"left": tea.KeyLeft, "right": tea.KeyRight, "tab": tea.KeyTab, "backspace": tea.KeyBackspace, "space": tea.KeySpace,
		"ctrl+c": tea.KeyCtrlC, "ctrl+u": tea.KeyCtrlU, "f1": tea.KeyF1, "f2": tea.KeyF2, "f3": tea.KeyF3, "f4": tea.KeyF4,
		"f5": tea.KeyF5, "f6": tea.KeyF6, "f7": tea.KeyF7, "f10": tea.KeyF10, "end": tea.KeyEnd}
	t, ok := types[k]
	switch {
	case !ok:
		return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(k)}
	case t == tea.KeySpace:
		return tea.KeyMsg{Type: t, Runes: []rune{' '}}
	}
	return tea.KeyMsg{Type: t}
}

// golden compares a frame with the one in testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	lines := strings.Split(got, "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	got = strings.Join(lines, "\n") + "\n"
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; run with -update and look at what it wrote", err)
	}
	if got != string(want) {
		t.Errorf("%s differs; got\n%s\nwant\n%s", path, got, want)
	}
}
