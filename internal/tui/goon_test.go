package tui

import (
	"strings"
	"testing"

	"station/internal/flow"
	"station/internal/record"
)

// A line that stopped because devices failed alike says why and waits for a
// person, who is asked before it goes on.
func TestALineThatStoppedIsLetGoOn(t *testing.T) {
	for _, c := range []struct {
		cfg  Config
		open string
	}{{Config{}, "g"}, {Config{Scan: func(string, string) error { return nil }}, "f7"}, {Config{Language: "zh"}, "g"}} {
		gone := 0
		c.cfg.GoOn = func() { gone++ }
		m := screen(t, c.cfg, 160, 24)
		send(m, eventsMsg{{Time: morning, Event: flow.LineReady, Slots: []string{"1"}}})
		mustHide(t, m, m.lang.kGoOn)
		press(m, c.open)
		kind := flow.FailureOf(flow.CodeAlike)
		send(m, flow.Event{Time: morning, Event: flow.LineHalted, Code: "E-ALIKE", Message: kind.Sentence, Action: kind.Action,
			Cause: "E-BOOT-MARKER", Detail: "3 devices failed with E-BOOT-MARKER"})
		sentence, action := m.lang.Failure("E-ALIKE", kind.Sentence, kind.Action)
		mustShow(t, m, sentence+" E-BOOT-MARKER"+pick(c.cfg.Language == "zh", "。", ".")+" "+action, m.lang.kGoOn)
		press(m, "y")
		press(m, c.open)
		mustShow(t, m, m.lang.goOnTitle, "3 devices failed with E-BOOT-MARKER", m.lang.kMended)
		press(m, "enter", "esc", c.open)
		if gone != 0 {
			t.Error("the line went on unasked")
		}
		press(m, "y")
		if gone != 1 || m.dialog != nil {
			t.Errorf("went on %d times", gone)
		}
	}
}

// A device that waits at the gate says so, and is not one that must not be
// unplugged.
func TestADeviceThatWaitsSaysSo(t *testing.T) {
	m := screen(t, Config{}, 100, 24)
	send(m, started("1"), flow.Event{Time: morning, Event: flow.DeviceWaits, Slot: "1"})
	mustShow(t, m, "Waits: the devices before this one are burned first.")
	mustHide(t, m, "UNPLUG")
	send(m, flow.Event{Time: morning, Event: flow.StepProgress, Slot: "1", Step: "flash", Percent: 100, Bytes: 1e6, Total: 1e6})
	for h := 2; h < 10; h++ { // of a tile, as low as they come
		said := ""
		for _, l := range m.insideWork(m.status.Slots[0], 22, h) {
			said += l.text + "\n"
		}
		if !strings.Contains(said, "Waits") {
			t.Errorf("a tile of %d lines says\n%s", h, said)
		}
	}
	send(m, flow.Event{Time: morning, Event: flow.LineHalted, Code: flow.CodeAlike})
	mustShow(t, m, "Waits: the line has stopped.")
	mustHide(t, m, "are burned first")
	send(m, flow.Event{Time: morning, Event: flow.LineResumed, Code: flow.CodeAlike})
	mustShow(t, m, "are burned first")
	send(m, burns("1"))
	mustHide(t, m, "Waits")
	mustShow(t, m, "DO NOT UNPLUG")
	send(m, flow.Event{Time: morning, Event: flow.DeviceFailed, Slot: "1", Verdict: record.Retry, Code: "E-STOPPED"})
	mustHide(t, m, "Waits")
}
