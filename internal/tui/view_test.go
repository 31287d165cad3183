package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/racetest"
	"station/internal/record"
)

// anyLine is a line of n slots in every state there is.
func anyLine(n int) eventsMsg {
	ready := flow.Event{Time: morning, Event: flow.LineReady, Job: "thermo", Revision: "7", Station: "bench-1", Operator: "ann",
		Steps: []flow.StepID{"connect", "flash", "burn-key", "boot"}, Target: 500}
	for i := range n {
		ready.Slots = append(ready.Slots, fmt.Sprint(i+1))
	}
	out := eventsMsg{ready}
	verdicts := []record.Verdict{record.Pass, record.Retry, record.Scrap, record.Quarantine, record.Station}
	for i, name := range ready.Slots {
		mac := [6]byte{0x24, 0x0a, 0xc4, 0, 0, byte(i)}
		at := func(event string) flow.Event {
			return flow.Event{Time: morning, Event: event, Slot: name, Port: "/dev/ttyUSB" + name, MAC: mac}
		}
		step := at(flow.StepStarted)
		step.Step = "flash"
		verdict := at(flow.DeviceFailed)
		verdict.Verdict, verdict.Code = verdicts[i%5], "E-BOOT-MARKER"
		verdict.Message, verdict.Action = "The device started but did not say that it is ready.", "Put it back; if it happens again, set it aside for an engineer."
		if verdict.Verdict == record.Pass {
			verdict.Event, verdict.Code, verdict.Seconds = flow.DevicePassed, "", 41
		}
		switch i % 8 {
		case 0:
		case 1:
			progress := at(flow.StepProgress)
			progress.Percent, progress.Bytes, progress.Total = 40, 400_000, 1_000_000
			out = append(out, step, progress)
		case 2:
			step.Step, step.Burning = "burn-key", true
			out = append(out, step)
		case 3:
			step.Step = "bind"
			out = append(out, step)
		case 4:
			out = append(out, step, verdict, at(flow.DeviceRemoved))
		default:
			for range 4 {
				out = append(out, step, verdict)
			}
		}
	}
	return out
}

// Where a port cannot reset its device the tile tells what a person has to do:
// before a device, at work, and when one was taken out.
func TestWhatAHandHasToDo(t *testing.T) {
	for language, texts := range map[string]map[flow.Hand]string{"en": english.Hands, "zh": chinese.Hands} {
		m := screen(t, Config{Language: language}, 120, 24)
		hand := func(do flow.Hand, until time.Time) {
			send(m, flow.Event{Time: morning, Event: flow.DeviceHand, Slot: "1", Hand: do, Until: until})
		}
		send(m, eventsMsg{{Time: morning, Event: flow.LineReady, Slots: []string{"1"}}})
		hand(flow.HandLoader, time.Time{})
		mustShow(t, m, texts[flow.HandLoader])
		hand(flow.HandNone, time.Time{})
		mustHide(t, m, texts[flow.HandLoader])
		send(m, started("1"))
		hand(flow.HandApp, morning.Add(83*time.Second))
		mustShow(t, m, texts[flow.HandApp], fmt.Sprintf(m.lang.Left, "1:23"))
		hand(flow.HandNone, time.Time{})
		mustHide(t, m, texts[flow.HandApp], texts[flow.HandLoader])
		send(m, passed("1"))
		hand(flow.HandLoader, time.Time{})
		mustShow(t, m, m.lang.Remove, texts[flow.HandLoader]) // nobody can tell when it is out
		send(m, flow.Event{Time: morning, Event: flow.DeviceRemoved, Slot: "1"})
		mustShow(t, m, texts[flow.HandLoader])
	}
}

// The tile of a virtual chip at a real station says so, in work and after, in
// every size in which a verdict can be read.
func TestVirtualChipsAreMarked(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {160, 48}, {200, 60}, {40, 9}, {31, 6}} {
		m := screen(t, Config{}, size[0], size[1])
		at := func(e flow.Event, simulated bool) flow.Event {
			e.MAC, e.Simulated = [6]byte{2, 5: 1}, simulated
			return e
		}
		send(m, eventsMsg{{Time: morning, Event: flow.LineReady, Slots: []string{"1", "2"}}})
		send(m, at(started("1"), true))
		mustShow(t, m, virtualMark)
		send(m, at(passed("1"), true))
		mustShow(t, m, virtualMark)
		if size[0] >= 80 {
			mustShow(t, m, "done 0", "virtual chips 1")
		}
		send(m, at(started("1"), false))
		mustHide(t, m, virtualMark)
	}
}

// The view fills the window exactly, whatever its size and whatever is shown.
func TestViewFillsTheWindow(t *testing.T) {
	dialogs := map[string][]string{"the line": nil, "help": {"?"}, "details": {"right", "enter"}, "quit": {"q"}, "history": {"h"}}
	var cases racetest.Sample
	for _, n := range []int{0, 1, 2, 3, 5, 8, 16, 32} {
		for _, cfg := range []Config{{}, {Language: "zh", Simulation: true}, {ASCII: true, Columns: 4}} {
			cfg.Quit, cfg.Ack, cfg.Pause = func() {}, func(string) {}, func(bool) {}
			cfg.History = func(string) ([]record.Visit, error) { return []record.Visit{{Verdict: record.Pass}}, nil }
			for name, keys := range dialogs {
				m := screen(t, cfg, 80, 24)
				send(m, anyLine(n))
				press(m, keys...)
				for _, w := range []int{1, 23, 24, 31, 40, 57, 80, 131, 200} {
					for _, h := range []int{1, 5, 6, 9, 12, 17, 18, 24, 50} {
						if cases.Out(17) {
							continue
						}
						m.Update(tea.WindowSizeMsg{Width: w, Height: h})
						checkFrame(t, fmt.Sprintf("%d slots, %s, %d×%d", n, name, w, h), m.View(), w, h)
					}
				}
			}
		}
	}
}

func checkFrame(t *testing.T, what, frame string, w, h int) {
	t.Helper()
	lines := strings.Split(frame, "\n")
	if len(lines) != h {
		t.Fatalf("%s: %d lines, want %d\n%s", what, len(lines), h, frame)
	}
	for _, l := range lines {
		if width(l) != w {
			t.Fatalf("%s: a line of %d cells, want %d: %q", what, width(l), w, l)
		}
	}
}

func TestPlainASCIIFrames(t *testing.T) {
	for _, n := range []int{1, 8, 32} {
		m := screen(t, Config{ASCII: true, Simulation: true}, 100, 40)
		send(m, anyLine(n))
		for _, keys := range [][]string{nil, {"?"}, {"esc", "right", "enter"}} {
			press(m, keys...)
			if frame := m.View(); utf8.RuneCountInString(frame) != len(frame) {
				t.Errorf("%d slots, keys %v: not ASCII:\n%s", n, keys, frame)
			}
		}
	}
}

// Every slot whose fuses are being burned says DO NOT UNPLUG, also where 32 of
// them share a small window.
func TestDoNotUnplugIsNeverCut(t *testing.T) {
	for _, size := range [][2]int{{80, 24}, {80, 43}, {120, 30}, {160, 48}, {240, 67}} {
		for _, lang := range []string{"en", "zh"} {
			for _, n := range []int{1, 4, 32} {
				m := screen(t, Config{Language: lang}, size[0], size[1])
				for i := range n {
					send(m, flow.Event{Time: morning, Event: flow.StepStarted, Slot: fmt.Sprint(i + 1), Step: "burn-key", Burning: true})
				}
				if got := strings.Count(m.View(), m.lang.holdShort); got != n {
					t.Errorf("%s, %d×%d: %d of %d slots say %q:\n%s", lang, size[0], size[1], got, n, m.lang.holdShort, m.View())
				}
			}
		}
	}
}

// View reads and changes nothing: the same frame twice, and none of the model
// different after it.
func TestViewIsPure(t *testing.T) {
	m := screen(t, Config{}, 100, 30)
	send(m, anyLine(8))
	before := fmt.Sprintf("%+v", *m)
	first := m.View()
	if second := m.View(); first != second || before != fmt.Sprintf("%+v", *m) {
		t.Error("drawing changed something")
	}
}

func TestLayout(t *testing.T) {
	for _, c := range []struct {
		n, w, h, columns int
		cols, rows       int
	}{
		{1, 80, 19, 0, 1, 1},
		{2, 80, 19, 0, 2, 1},
		{4, 80, 19, 0, 2, 2},
		{4, 160, 43, 0, 2, 2},
		{8, 80, 19, 0, 2, 4},
		{8, 80, 19, 8, 8, 1}, // too narrow: the fixture's columns cannot be had
		{32, 80, 19, 0, 4, 8},
		{32, 240, 60, 8, 8, 4},
		{3, 40, 20, 0, 1, 3},
	} {
		g := layout(c.n, c.w, c.h, 0, c.columns, 0)
		if c.columns == 8 && c.w == 80 {
			if g.n == 0 || g.w < 1 {
				t.Errorf("%+v: got %+v", c, g)
			}
			continue
		}
		if g.cols != c.cols || g.rows != c.rows {
			t.Errorf("%d slots in %d×%d: got %d×%d tiles, want %d×%d", c.n, c.w, c.h, g.cols, g.rows, c.cols, c.rows)
		}
	}
}

// Slots that do not fit are reached by choosing them.
func TestPagesFollowTheChosenSlot(t *testing.T) {
	m := screen(t, Config{}, 40, 10)
	send(m, anyLine(32))
	if frame := m.View(); !strings.Contains(frame, "slots 1 to ") || strings.Contains(frame, "32 ") && strings.Contains(frame, "to 32") {
		t.Errorf("the first page is not shown:\n%s", frame)
	}
	for range 31 {
		press(m, "right")
	}
	if frame := m.View(); !strings.Contains(frame, "to 32 of 32") || !strings.Contains(frame, "►32") {
		t.Errorf("the last page is not shown:\n%s", frame)
	}
}

func TestHeaderAndFooter(t *testing.T) {
	day := board.Day{}
	day.Add(record.Visit{End: morning, MAC: [6]byte{1}, Verdict: record.Pass, Seconds: 41})
	day.Add(record.Visit{End: morning, MAC: [6]byte{1}, Verdict: record.Pass, Already: true})
	day.Add(record.Visit{End: morning, MAC: [6]byte{2}, Verdict: record.Retry, Code: "E-DEAF"})
	m := screen(t, Config{Day: day, Health: func() board.Health {
		return board.Health{Token: board.Part{OK: true, Words: "ok"}, Ledger: board.Part{OK: false, Words: "disk full"}, Disk: board.Part{OK: true, Words: "41 GB"}, Head: "1234 3f2a9c"}
	}}, 100, 24)
	send(m, anyLine(1), flow.Event{Time: morning, Event: flow.LineHalted, Code: "E-LEDGER", Message: "The station's records cannot be written."}, tickMsg(morning))
	frame := m.View()
	for _, want := range []string{"station bench-1", "job thermo 7", "operator ann", "done 1 of 500", "first pass 50.0 %", "41 s each",
		"sealed before 1", "failed 1", "E-DEAF ×1", "HSM ok", "disk 41 GB", "head 1234 3f2a9c", "ledger disk full", "NO NEW DEVICE IS STARTED: The station's records cannot be written.", "EMPTY"} {
		if !strings.Contains(frame, want) {
			t.Errorf("the frame lacks %q:\n%s", want, frame)
		}
	}
	if strings.Contains(frame, "SIMULATION") || strings.Contains(frame, "Plug a device in") {
		t.Errorf("a real, halted line looks like a simulation, or ready:\n%s", frame)
	}
}
