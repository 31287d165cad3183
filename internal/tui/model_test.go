package tui

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"station/internal/flow"
	"station/internal/record"
)

func started(slot string) flow.Event {
	return flow.Event{Time: morning, Event: flow.StepStarted, Slot: slot, Step: "connect"}
}

func failed(slot string) flow.Event {
	return flow.Event{Time: morning, Event: flow.DeviceFailed, Slot: slot, Verdict: record.Retry, Code: "E-DEAF",
		Message: "The device talks but does not hear the station.", Action: "Check the fixture's RX contact, then put it back."}
}

func passed(slot string) flow.Event {
	return flow.Event{Time: morning, Event: flow.DevicePassed, Slot: slot, Verdict: record.Pass}
}

func burns(slot string) flow.Event {
	return flow.Event{Time: morning, Event: flow.StepStarted, Slot: slot, Step: "burn-key", Burning: true}
}

func mustShow(t *testing.T, m *Model, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(m.View(), text) {
			t.Errorf("the screen lacks %q:\n%s", text, m.View())
		}
	}
}

func mustHide(t *testing.T, m *Model, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(m.View(), text) {
			t.Errorf("the screen shows %q:\n%s", text, m.View())
		}
	}
}

// The result stands until the next device begins, also when the device is out.
func TestLastResultStays(t *testing.T) {
	m := screen(t, Config{}, 80, 24)
	send(m, started("1"), failed("1"))
	mustShow(t, m, "E-DEAF", "RX contact")
	send(m, flow.Event{Time: morning, Event: flow.DeviceRemoved, Slot: "1"})
	mustShow(t, m, "E-DEAF", "does not hear", "Put it back.")
	mustHide(t, m, "Ready for the next device")
	mustHide(t, m, "RX contact")
	send(m, started("1"))
	mustShow(t, m, "Connect")
	mustHide(t, m, "E-DEAF │", "does not hear")
}

func TestSlotHealth(t *testing.T) {
	m := screen(t, Config{}, 100, 24)
	for range 3 {
		send(m, started("3"), failed("3"))
	}
	send(m, started("3"), passed("3"))
	mustShow(t, m, "slot 3 failed 3 of its last 4: check its contacts", "1 of 4 passed")
}

func TestFailuresAreAcknowledged(t *testing.T) {
	var seen []string
	m := screen(t, Config{Ack: func(slot string) { seen = append(seen, slot) }}, 100, 24)
	send(m, started("1"), passed("1"), started("2"), failed("2"), started("3"), failed("3"))
	mustShow(t, m, "Seen? Press Space.", "seen")
	press(m, "space", "space")
	if strings.Join(seen, ",") != "2,3" {
		t.Errorf("acknowledged %v, want 2, 3", seen)
	}
	mustHide(t, m, "Press Space")
	send(m, started("2"), failed("2"), started("3"), failed("3"))
	press(m, "right", "right", "space") // the chosen slot comes first
	if got := seen[len(seen)-1]; got != "3" {
		t.Errorf("acknowledged %s, want the chosen slot 3", got)
	}
	send(m, started("2"))
	if len(m.unseen) != 0 {
		t.Errorf("a new device leaves %v to be acknowledged", m.unseen)
	}
}

func TestBell(t *testing.T) {
	rings := func(bad, muted bool) int32 {
		var n atomic.Int32
		m := New(Config{Bell: func() { n.Add(1) }}, renderer(0))
		m.muted = muted
		msg := m.ring(bad)
		if msg == nil {
			return 0
		}
		if batch, ok := msg().(tea.BatchMsg); ok {
			for _, cmd := range batch {
				cmd()
			}
		}
		return n.Load()
	}
	if good, bad, muted := rings(false, false), rings(true, false), rings(true, true); good != 1 || bad != 3 || muted != 0 {
		t.Errorf("got %d, %d and %d sounds, want 1 for a pass, 3 for a failure, none when muted", good, bad, muted)
	}
	var n atomic.Int32
	m := screen(t, Config{Bell: func() { n.Add(1) }}, 80, 24)
	send(m, started("1"), passed("1"))
	for n.Load() == 0 { // it rings in a moment
		time.Sleep(time.Millisecond)
	}
	press(m, "m")
	send(m, started("1"), passed("1"))
	if n.Load() != 1 {
		t.Error("a muted screen rang")
	}
}

func TestQuitWhileFusesBurn(t *testing.T) {
	quits := 0
	m := screen(t, Config{Quit: func() { quits++ }}, 100, 24)
	send(m, burns("1"), started("2"), started("3"), passed("3"))
	press(m, "q")
	mustShow(t, m, "Stop the line?", "Devices with burned fuses: 1. Each is finished first. DO NOT UNPLUG", "Devices at work: 1.")
	press(m, "esc")
	mustHide(t, m, "Stop the line?")
	if quits != 0 {
		t.Error("Esc stopped the line")
	}
	press(m, "q", "enter")
	if quits != 1 {
		t.Errorf("the line was asked to stop %d times, want once", quits)
	}
	mustShow(t, m, "STOPPING: fuses are burned in slot 1. DO NOT UNPLUG")
	press(m, "q", "ctrl+c", "enter")
	if quits != 1 || m.dialog != nil && strings.Contains(m.View(), "Stop the line?") {
		t.Error("a stopping line is asked to stop again")
	}
	send(m, passed("1"))
	mustShow(t, m, "STOPPING: waits for slot 2")
	send(m, started("3"))
	mustShow(t, m, "STOPPING: waits for slots 2, 3")
	send(m, passed("3"))
	if !quitsWith(m, flow.Event{Time: morning, Event: flow.LineDone}) {
		t.Error("the screen does not end with the line")
	}
	if m.Err() != nil {
		t.Errorf("got %v, want no error", m.Err())
	}
}

// quitsWith reports whether a message ends the program.
func quitsWith(m *Model, msg tea.Msg) bool {
	_, cmd := m.Update(msg)
	if cmd == nil {
		return false
	}
	_, quit := cmd().(tea.QuitMsg)
	return quit
}

// A dialogue hides the tiles, not what they say.
func TestSlotsStayInSightBehindADialogue(t *testing.T) {
	m := screen(t, Config{Quit: func() {}}, 80, 24)
	send(m, started("1"), passed("1"), started("2"), failed("2"), burns("3"))
	press(m, "?")
	mustShow(t, m, " 1 √ ", " 2 ◄ ", " 3 !! ")
	press(m, "esc", "q")
	send(m, passed("3"), flow.Event{Time: morning, Event: flow.LineDone})
	mustHide(t, m, "Stop the line?")
	mustShow(t, m, "FINISHED")
}

// A line that ends by itself leaves its results on the screen.
func TestLineEndsByItself(t *testing.T) {
	m := screen(t, Config{Quit: func() { t.Error("an ended line was stopped") }}, 80, 24)
	sealed := passed("1")
	sealed.Time = morning.Add(time.Minute)
	m.status.Day.Since = morning
	send(m, started("1"), sealed)
	if quitsWith(m, flow.Event{Time: sealed.Time, Event: flow.LineDone}) {
		t.Fatal("the screen vanished with its results")
	}
	mustShow(t, m, "FINISHED", "Sealed.")
	pace := regexp.MustCompile(`\d+ an hour`)
	before := pace.FindString(m.View())
	send(m, tickMsg(m.now.Add(10*time.Minute)))
	if after := pace.FindString(m.View()); before == "" || after != before {
		t.Errorf("the pace was %q and becomes %q while nobody works", before, after)
	}
	if !quitsWith(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("q")}) {
		t.Error("q does not leave an ended line")
	}
}

func TestLeavingBeforeTheStart(t *testing.T) {
	m := New(Config{Shift: &Shift{Operator: func(string) error { return nil }}, Start: func() error { t.Error("started"); return nil }}, renderer(0))
	send(m, tea.WindowSizeMsg{Width: 80, Height: 24})
	settle(m, m.openShift())
	if !quitsWith(m, tea.KeyMsg{Type: tea.KeyEsc}) || !errors.Is(m.Err(), ErrLeft) {
		t.Errorf("got %v, want ErrLeft", m.Err())
	}
}

func TestStartThatFails(t *testing.T) {
	broken := errors.New("ledger: locked")
	m := New(Config{Start: func() error { return broken }}, renderer(0))
	if _, cmd := m.Update(m.start()()); cmd == nil || m.Err() != broken {
		t.Errorf("got %v, want the error of the start", m.Err())
	}
}

func TestPause(t *testing.T) {
	var calls []bool
	m := screen(t, Config{Pause: func(on bool) { calls = append(calls, on) }}, 80, 24)
	send(m, anyLine(1))
	press(m, "p")
	mustShow(t, m, "PAUSED: no new device is started", "go on", "EMPTY")
	press(m, "p")
	mustShow(t, m, "pause", "Plug a device in")
	mustHide(t, m, "PAUSED")
	if len(calls) != 2 || !calls[0] || calls[1] {
		t.Errorf("got %v, want on, off", calls)
	}
}

func TestHaltedLine(t *testing.T) {
	m := screen(t, Config{}, 120, 24)
	halted := flow.Event{Time: morning, Event: flow.LineHalted, Code: "E-HSM-AWAY", Message: "The key token is not there.",
		Action: "Plug the token in; the line goes on by itself."}
	send(m, anyLine(1), halted)
	mustShow(t, m, "NO NEW DEVICE IS STARTED: The key token is not there. Plug the token in", "EMPTY")
	send(m, flow.Event{Time: morning, Event: flow.LineResumed})
	mustHide(t, m, "NO NEW DEVICE")
	mustShow(t, m, "Plug a device in")
	chinese := screen(t, Config{Language: "zh"}, 120, 24)
	send(chinese, halted)
	mustShow(t, chinese, "不开始新设备：密钥令牌不在。")
}

func TestRetry(t *testing.T) {
	var again []string
	m := screen(t, Config{Retry: func(slot string) { again = append(again, slot) }}, 80, 24)
	send(m, started("1"))
	press(m, "r") // busy: the key does nothing
	send(m, failed("1"))
	press(m, "r")
	if len(again) != 1 || again[0] != "1" {
		t.Errorf("got %v, want slot 1 once", again)
	}
	// There is nothing to try again where a device passed or was taken out.
	mustShow(t, m, "try again")
	send(m, flow.Event{Time: morning, Event: flow.DeviceRemoved, Slot: "1"})
	mustHide(t, m, "try again")
	send(m, started("1"), flow.Event{Time: morning, Event: flow.DevicePassed, Slot: "1", Verdict: record.Pass})
	mustHide(t, m, "try again")
	if press(m, "r"); len(again) != 1 {
		t.Errorf("a device that passed is tried again: %v", again)
	}
}

func TestNoticesGo(t *testing.T) {
	m := screen(t, Config{}, 80, 24)
	send(m, tickMsg(morning), noticeMsg{"serial\x1b[2J taken", true})
	mustShow(t, m, "serial taken")
	send(m, tickMsg(morning.Add(noticeTime+time.Second)))
	mustHide(t, m, "serial taken")
}

func TestScanToBind(t *testing.T) {
	type scan struct{ slot, serial string }
	var scans []scan
	cfg := Config{Quit: func() {}, Pause: func(bool) { t.Error("a serial number paused the line") }, Scan: func(slot, serial string) error {
		scans = append(scans, scan{slot, serial})
		if serial == "bad" {
			return errors.New("bad is no serial number of this job")
		}
		return nil
	}}
	m := screen(t, cfg, 100, 24)
	send(m, anyLine(1), tickMsg(morning))
	mustShow(t, m, "Serial for the next device: scan it now", "F10  quit")
	press(m, "p", "q", "r", "1", "backspace", "7", "enter") // letters are a serial number here
	mustShow(t, m, "pqr7. Plug the device in (Esc takes the number back).")
	send(m, tickMsg(morning.Add(time.Hour)))
	mustShow(t, m, "pqr7. Plug the device in") // for as long as it waits
	send(m, flow.Event{Time: morning, Event: flow.StepDone, Slot: "1", Step: "bind", Serial: "pqr7"})
	mustHide(t, m, "pqr7. Plug")
	ask := started("2")
	ask.Step = "bind"
	send(m, ask)
	mustShow(t, m, "Serial for slot 2:", "Scan the serial number of this device.")
	press(m, "bad", "tab")
	mustShow(t, m, "bad is no serial number of this job")
	press(m, "A-1", "esc", "A-2", "enter")
	mustShow(t, m, "Serial A-2 belongs to slot 2.")
	want := []scan{{"", "pqr7"}, {"2", "bad"}, {"2", "A-2"}}
	if len(scans) != 3 || scans[0] != want[0] || scans[1] != want[1] || scans[2] != want[2] {
		t.Errorf("got %v, want %v", scans, want)
	}
	press(m, "enter") // nothing was scanned
	if len(scans) != 3 {
		t.Error("an empty line was taken for a serial number")
	}
	press(m, "f10")
	mustShow(t, m, "Stop the line?")
}

// One slot asks, with its name; the others say that they wait for their turn,
// in the order of the fixture, whatever slot is chosen.
func TestOneSlotAsksForItsSerial(t *testing.T) {
	for _, size := range [][2]int{{100, 40}, {80, 24}, {40, 16}} {
		var slots []string
		m := screen(t, Config{Scan: func(slot, _ string) error { slots = append(slots, slot); return nil }}, size[0], size[1])
		send(m, flow.Event{Time: morning, Event: flow.LineReady, Slots: []string{"1", "2", "3", "4"}})
		for i, name := range []string{"1", "2", "3", "4"} {
			e := started(name)
			e.Step, e.Time = "bind", morning.Add(time.Duration(10-i)*time.Second)
			if name == "1" {
				e.Step = "flash"
			}
			send(m, e)
		}
		for _, want := range []string{"2", "3", "4"} {
			frame := m.View()
			if n := strings.Count(frame, m.lang.ScanNow[:8]) + strings.Count(frame, m.lang.scanShort); n < 1 || !strings.Contains(frame, "Serial for slot "+want+":") {
				t.Errorf("slot %s does not ask:\n%s", want, frame)
			}
			if n := strings.Count(frame, m.lang.ScanNow); n > 1 {
				t.Errorf("%d slots ask:\n%s", n, frame)
			}
			press(m, "right", "a", "enter")
			done := started(want)
			done.Step = "key"
			send(m, done)
		}
		if strings.Join(slots, ",") != "2,3,4" {
			t.Errorf("got %v", slots)
		}
	}
}

// A device that can go on is asked back by its MAC until it is back, in any
// slot, or dismissed; nothing says that the slot is ready for another one.
func TestADeviceIsAskedBack(t *testing.T) {
	mac := [6]byte{0x24, 0x0a, 0xc4, 1, 2, 3}
	fail, gone := failed("1"), flow.Event{Time: morning, Event: flow.DeviceRemoved, Slot: "1"}
	fail.MAC = mac
	for _, cfg := range []Config{{}, {Language: "zh"}} {
		m := screen(t, cfg, 120, 24)
		send(m, started("1"), fail, gone)
		mustShow(t, m, fmt.Sprintf(m.lang.PutBackMAC, "24:0a:c4:01:02:03"), m.lang.kDismiss)
		mustHide(t, m, m.lang.Free)
		send(m, started("1")) // another one
		mustShow(t, m, fmt.Sprintf(m.lang.owed, "24:0a:c4:01:02:03"))
		back := started("2")
		back.MAC = mac
		send(m, back)
		mustHide(t, m, fmt.Sprintf(m.lang.owed, "24:0a:c4:01:02:03"))
		send(m, passed("1"))
		send(m, started("1"), fail, gone)
		press(m, "x")
		mustShow(t, m, m.lang.Free)
		mustHide(t, m, m.lang.kDismiss)
	}
}

// A line that starts nothing asks for nothing.
func TestNothingIsReadyWhileTheLineIsHalted(t *testing.T) {
	m := screen(t, Config{}, 120, 24)
	send(m, started("1"), passed("1"), flow.Event{Time: morning, Event: flow.DeviceRemoved, Slot: "1"})
	mustShow(t, m, m.lang.Free)
	send(m, flow.Event{Time: morning, Event: flow.LineHalted, Code: "E-HSM", Message: "m", Action: "a"})
	mustShow(t, m, "NO NEW DEVICE", m.lang.Taken)
	mustHide(t, m, "Ready for the next device", m.lang.PlugIn)
}

func TestStoppedFromOutside(t *testing.T) {
	quits := 0
	m := screen(t, Config{Quit: func() { quits++ }}, 80, 24)
	send(m, burns("1"), stopMsg{})
	mustShow(t, m, "STOPPING", "DO NOT UNPLUG")
	if quits != 1 {
		t.Errorf("the line was asked to stop %d times, want once", quits)
	}
}
