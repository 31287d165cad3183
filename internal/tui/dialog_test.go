package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"station/internal/board"
	"station/internal/chip"
	"station/internal/flow"
	"station/internal/record"
	"station/internal/secret"
)

// examplePlan is a release plan with what rev 3 adds.
func examplePlan() Plan {
	line := func(stage, field, from, to string) PlanLine {
		return PlanLine{Stage: stage, FuseChange: record.FuseChange{Field: field, Old: from, New: to}}
	}
	return Plan{Job: "thermo", Revision: "7", Mode: "release", Images: []string{`0x00010000 app version "1.2", 524288 bytes, encrypted, sha256:00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff`},
		Settings: []string{`boot.marker = "ready"`, "quota.devices = 500"}, Digest: "sha256:5f2c9a7712ab33", Lines: []PlanLine{
			line("key", "BLOCK1", "empty", "device key (derived)"),
			line("key-protect", "WR_DIS bit 7 (BLOCK1)", "0", "1"),
			line("key-protect", "RD_DIS bit 0 (BLOCK1)", "0", "1"),
			line("crypt", "FLASH_CRYPT_CONFIG", "0", "15"),
			line("crypt", "JTAG_DISABLE", "0", "1"),
			line("crypt", "DISABLE_DL_ENCRYPT", "0", "1"),
			line("crypt", "DISABLE_DL_DECRYPT", "0", "1"),
			line("crypt", "DISABLE_DL_CACHE", "0", "1"),
			line("count", "FLASH_CRYPT_CNT", "0", "127"),
			line("lock", "UART_DOWNLOAD_DIS", "0", "1"),
		}}
}

// shift is a start of shift that asks everything, and notes what it was told.
type shift struct {
	said     []string
	pins     []*secret.Bytes
	plan     Plan
	approved bool
}

func (s *shift) config() Config {
	note := func(format string, args ...any) { s.said = append(s.said, fmt.Sprintf(format, args...)) }
	return Config{Simulation: true, Start: func() error { note("start"); return nil }, Shift: &Shift{
		Jobs:   []Job{{"thermo.toml", "thermo", "7"}, {"hygro.toml", "hygro", "1"}},
		Choose: func(job string) error { note("job %s", job); return nil },
		Operator: func(id string) error {
			if id != "A-17" {
				return errors.New("nobody here has the ID " + id)
			}
			note("operator %s", id)
			return nil
		},
		PIN: func(pin *secret.Bytes) error {
			s.pins = append(s.pins, pin)
			if string(pin.Reveal()) != "1234é" {
				return errors.New("the PIN is wrong; 2 tries are left")
			}
			note("pin")
			return nil
		},
		Plan: func() (Plan, error) { s.plan.Approved = s.approved; return s.plan, nil },
		Approve: func(digest string) error {
			note("approve %s", digest)
			return nil
		},
	}}
}

func begin(t *testing.T, cfg Config, w, h int) *Model {
	t.Helper()
	m := New(cfg, renderer(termenv.Ascii))
	send(m, tea.WindowSizeMsg{Width: w, Height: h})
	settle(m, m.openShift())
	return m
}

func TestStartOfShift(t *testing.T) {
	s := &shift{plan: examplePlan()}
	m := begin(t, s.config(), 80, 24)
	golden(t, "shift-job", m.View())
	press(m, "down", "enter")
	golden(t, "shift-operator", m.View())
	press(m, "B-2", "enter")
	mustShow(t, m, "nobody here has the ID B-2")
	press(m, "A-17", "enter") // the refused ID is gone
	golden(t, "shift-pin", m.View())
	press(m, "9", "enter")
	mustShow(t, m, "the PIN is wrong; 2 tries are left")
	press(m, "1", "2", "x", "backspace", "3", "4", "é", "enter")
	golden(t, "shift-plan", m.View())
	press(m, "end")
	golden(t, "shift-plan-end", m.View())
	press(m, "5f2c9")
	mustHide(t, m, "Enter  approve")
	press(m, "enter") // one character is missing
	press(m, "A")
	mustShow(t, m, "Enter  approve")
	press(m, "enter")
	want := "job hygro.toml|operator A-17|pin|approve sha256:5f2c9a7712ab33|start"
	if got := strings.Join(s.said, "|"); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if m.dialog != nil || !m.started {
		t.Errorf("the line is not shown:\n%s", m.View())
	}
}

func TestStartOfShiftInChinese(t *testing.T) {
	s := &shift{plan: examplePlan()}
	cfg := s.config()
	cfg.Language, cfg.Shift.Jobs, cfg.Shift.Operator, cfg.Shift.PIN = "zh", nil, nil, nil
	m := begin(t, cfg, 120, 30)
	golden(t, "shift-plan-zh", m.View())
}

// Where two people are wanted, who approves says so first.
func TestAnotherPersonApproves(t *testing.T) {
	s := &shift{plan: examplePlan()}
	s.plan.Other = true
	cfg := s.config()
	cfg.Shift.Jobs, cfg.Shift.Operator, cfg.Shift.PIN = nil, nil, nil
	cfg.Shift.Approver = func(id string) error {
		if id == "A-17" {
			return errors.New("A-17 works here")
		}
		s.said = append(s.said, "approver "+id)
		return nil
	}
	approve := cfg.Shift.Approve
	refuse := errors.New("not this one")
	cfg.Shift.Approve = func(digest string) error {
		if err := refuse; err != nil {
			refuse = nil
			return err
		}
		return approve(digest)
	}
	m := begin(t, cfg, 80, 24)
	press(m, "end")
	mustShow(t, m, "Who approves this? Not the operator")
	mustHide(t, m, "type the first")
	press(m, "A-17", "enter")
	mustShow(t, m, "A-17 works here", "Who approves this?")
	press(m, "E-1", "enter")
	mustShow(t, m, "type the first 6 characters")
	press(m, "5f2c9a", "enter") // refused: the question comes again
	mustShow(t, m, "not this one", "Who approves this?")
	press(m, "E-2", "enter", "5f2c9a", "enter")
	if got, want := strings.Join(s.said, "|"), "approver E-1|approver E-2|approve sha256:5f2c9a7712ab33|start"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// An operator who approves nothing here is told who does, in both languages.
func TestWhoMayApprove(t *testing.T) {
	for language, want := range map[string]string{"en": "who may: Eve, carl.", "zh": "操作员不能批准。"} {
		s := &shift{plan: examplePlan()}
		s.plan.Other, s.plan.Approvers = true, []string{"Eve", "carl"}
		cfg := s.config()
		cfg.Language = language
		cfg.Shift.Jobs, cfg.Shift.Operator, cfg.Shift.PIN = nil, nil, nil
		cfg.Shift.Approver = func(id string) error {
			if id != "carl" {
				return errors.New(id + " is no approver here; [people] approvers in station.toml has Eve, carl, and that is all of them")
			}
			return nil
		}
		m := begin(t, cfg, 80, 24)
		press(m, "end")
		mustShow(t, m, want)
		press(m, "5f2c9a", "enter") // that is a name, not yet the digest: nothing is approved
		mustShow(t, m, want, "5f2c9a is no approver here", "that is all of them")
		press(m, "carl", "enter")
		press(m, "5f2c9a", "enter")
		if got := strings.Join(s.said, "|"); got != "approve sha256:5f2c9a7712ab33|start" {
			t.Errorf("got %s", got)
		}
	}
}

// What differs from what was approved is shown to its end.
func TestPlanOfAnotherJobIsRefusedInWords(t *testing.T) {
	m := begin(t, Config{Shift: &Shift{Plan: func() (Plan, error) {
		return Plan{}, errors.New("not approved: revision 7 is another:\n  a was 1, is 2\n  b was 1, is 2\n  c was 1, is 2\n  d was 1, is 2\nbring that back")
	}}}, 80, 24)
	mustShow(t, m, "a was 1, is 2", "d was 1, is 2", "bring that back")
}

// An approved plan is not asked for again.
func TestApprovedPlan(t *testing.T) {
	s := &shift{plan: examplePlan(), approved: true}
	cfg := s.config()
	cfg.Shift.Jobs, cfg.Shift.Operator, cfg.Shift.PIN = nil, nil, nil
	m := begin(t, cfg, 80, 24)
	if got := strings.Join(s.said, "|"); got != "start" || !m.started {
		t.Errorf("got %q, want the start alone", got)
	}
}

// What is not the digest is answered, and approves nothing.
func TestAWrongDigestIsAnswered(t *testing.T) {
	for lang, want := range map[string]string{"": "5f2c9b is not how the digest begins", "zh": "5f2c9b 不是摘要的开头"} {
		s := &shift{plan: examplePlan()}
		cfg := s.config()
		cfg.Language, cfg.Shift.Jobs, cfg.Shift.Operator, cfg.Shift.PIN = lang, nil, nil, nil
		m := begin(t, cfg, 80, 24)
		press(m, "end", "5f2c9b", "enter")
		mustShow(t, m, want)
		if len(s.said) != 0 || m.started {
			t.Errorf("approved: %v", s.said)
		}
		press(m, "5f2c9a", "enter")
		if len(s.said) != 2 {
			t.Errorf("got %v, want approval and start", s.said)
		}
	}
}

// Nobody approves fuses that were not on the screen.
func TestPlanHasToBeReadToItsEnd(t *testing.T) {
	s := &shift{plan: examplePlan()}
	cfg := s.config()
	cfg.Shift.Jobs, cfg.Shift.Operator, cfg.Shift.PIN = nil, nil, nil
	for _, size := range [][2]int{{40, 16}, {80, 24}, {80, 40}, {160, 48}} {
		s.said = nil
		m := begin(t, cfg, size[0], size[1])
		press(m, "5f2c9a")
		for i := 0; strings.Contains(m.View(), "Scroll down"); i++ {
			press(m, "enter")
			if len(s.said) > 0 || i > 50 {
				t.Fatalf("%v: approved, or no end, before the last fuse was shown:\n%s", size, m.View())
			}
			press(m, "down")
		}
		mustShow(t, m, "UART_DOWNLOAD_DIS", "To approve, type the first 6")
		press(m, "enter")
		if len(s.said) != 2 {
			t.Errorf("%v: got %v, want approval and start", size, s.said)
		}
	}
}

func TestPlanThatCannotBeRead(t *testing.T) {
	m := begin(t, Config{Shift: &Shift{Plan: func() (Plan, error) { return Plan{}, errors.New("job: thermo.toml: line 3: no such fuse") }}}, 80, 24)
	mustShow(t, m, "job: thermo.toml: line 3: no such fuse", "leave")
	if m.started {
		t.Error("the line was started without a plan")
	}
}

// The PIN is on no frame, not even its length, and its memory is given back.
func TestPINIsNeverShown(t *testing.T) {
	s := &shift{plan: examplePlan()}
	cfg := s.config()
	cfg.Shift.Jobs, cfg.Shift.Operator = nil, nil
	m := begin(t, cfg, 80, 24)
	before := m.View()
	press(m, "7", "3", "9", "1")
	body := func(frame string) string { return frame[:strings.LastIndex(frame, "\n")] }
	if body(m.View()) != body(before) {
		t.Errorf("typing changed the frame:\n%s", m.View())
	}
	if strings.Contains(fmt.Sprintf("%+v %+v", *m, m.dialog), "7391") {
		t.Error("the PIN can be printed")
	}
	d := m.dialog.(*pinDialog)
	typed := d.pin
	press(m, "enter")
	if typed.Len() != 0 || d.pin != nil || s.pins[0].Len() != 0 {
		t.Error("the PIN is still in memory after it was checked")
	}
	press(m, "1", "2", "ctrl+u")
	if d.pin != nil || d.n != 0 {
		t.Error("ctrl+u leaves something of the PIN")
	}
	press(m, "1", "enter", "x")
	if _, cmd := m.Update(tea.KeyMsg{Type: tea.KeyEsc}); cmd == nil || d.pin != nil {
		t.Error("leaving keeps the PIN")
	}
}

// A failure is told in the operator's words before those for an engineer.
func TestRefusalInPlainWords(t *testing.T) {
	for language, sentence := range map[string]string{"en": "The key token's PIN is wrong.", "zh": chinese.Failures["E-HSM-PIN"][0]} {
		m := begin(t, Config{Language: language, Shift: &Shift{PIN: func(*secret.Bytes) error {
			return flow.Fail("E-HSM-PIN", errors.New("login: CKR_PIN_INCORRECT"))
		}}}, 80, 24)
		press(m, "1", "2", "3", "4", "enter")
		mustShow(t, m, sentence, "E-HSM-PIN: login: CKR_PIN_INCORRECT")
	}
}

// With the PIN the ledger is opened and reread: how far that is is told.
func TestRereadingIsTold(t *testing.T) {
	for language, want := range map[string]string{"en": "Please wait. ledger: 42 %", "zh": "请稍候。 账本: 42 %"} {
		asked := false
		var m *Model
		m = begin(t, Config{Language: language, Start: func() error { return nil }, Shift: &Shift{Reread: func() int { return 42 }, PIN: func(*secret.Bytes) error {
			asked = true
			mustShow(t, m, want)
			return nil
		}}}, 80, 24)
		press(m, "1", "2", "3", "4", "enter")
		mustHide(t, m, want)
		if !asked {
			t.Error("nobody asked for the PIN")
		}
	}
}

func TestPINIsLimited(t *testing.T) {
	d := &pinDialog{}
	for range 70 {
		if err := d.add([]rune("12345")); err != nil {
			t.Fatal(err)
		}
	}
	if d.n > longestPIN || d.n < longestPIN-4 {
		t.Errorf("got %d bytes, want at most %d", d.n, longestPIN)
	}
	d.erase()
}

func TestHistory(t *testing.T) {
	all := []record.Visit{
		{End: morning, MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, Serial: "A-77", Slot: "3", Verdict: record.Pass, Seconds: 17.2},
		{End: morning, MAC: chip.MAC{0x24, 0x0a, 0xc4, 9, 9, 9}, Serial: "A-78", Slot: "1", Verdict: record.Quarantine, Code: "E-FOREIGN-KEY", Seconds: 0.3},
	}
	var asked []string
	cfg := Config{
		History: func(query string) ([]record.Visit, error) {
			asked = append(asked, query)
			if query == "broken" {
				return nil, errors.New("ledger: cannot be read")
			}
			var out []record.Visit
			for _, r := range all {
				if strings.Contains(r.MAC.String()+r.Serial, query) {
					out = append(out, r)
				}
			}
			return out, nil
		},
		Detail: func(mac chip.MAC) (board.Detail, error) {
			return board.Detail{Entries: []string{"12 device.seen"}, Boot: "ets Jun  8 2016\r\n\x1b[32mready\x1b[0m\x07\n",
				Fuses: []record.FuseChange{{Field: "FLASH_CRYPT_CNT", Old: "0", New: "127"}, {Field: "ADC_VREF", Old: "3", New: "3"}}}, nil
		},
	}
	m := screen(t, cfg, 100, 24)
	press(m, "h")
	golden(t, "history", m.View())
	press(m, "A-78")
	mustShow(t, m, "A-78", "E-FOREIGN-KEY")
	mustHide(t, m, "A-77")
	press(m, "enter")
	mustShow(t, m, "24:0a:c4:09:09:09", "12 device.seen")
	press(m, "tab")
	golden(t, "details-fuses", m.View())
	press(m, "tab")
	mustShow(t, m, "ets Jun  8 2016", `ready\u0007`)
	press(m, "esc")
	mustShow(t, m, "Devices of the day", "A-78")
	press(m, "zz")
	mustShow(t, m, "No device found.")
	press(m, "esc")
	if m.dialog != nil || asked[0] != "" || asked[1] != "A-78" {
		t.Errorf("asked %q, dialogue %T", asked, m.dialog)
	}
	press(m, "h", "broken")
	mustShow(t, m, "ledger: cannot be read")
}

// A device's other days are told with their date, and what has no room is marked,
// codes too.
func TestHistoryOfOtherDays(t *testing.T) {
	rows := []record.Visit{
		{End: morning, MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, Serial: "SN-000000000042", Slot: "3", Verdict: record.Quarantine, Code: "E-DOWNLOAD-DISABLED"},
		{End: morning.AddDate(0, 0, -3), MAC: chip.MAC{0x24, 0x0a, 0xc4, 1, 2, 3}, Slot: "12", Verdict: record.Retry, Code: "E-BOOT-MARKER"},
	}
	m := screen(t, Config{History: func(string) ([]record.Visit, error) { return rows, nil }}, 80, 24)
	send(m, tickMsg(morning.Add(time.Minute)))
	press(m, "h")
	mustShow(t, m, morning.Format("15:04:05")+"    ▲ QUARANTINE", morning.AddDate(0, 0, -3).Format("01-02 15:04")+" ◄ RETRY", "SN-0000…", "E-DOWNLOAD-DI… 0.0", "E-BOOT-MARKER")
}

// An answer that comes late does not replace a newer one.
func TestHistoryDropsOldAnswers(t *testing.T) {
	m := screen(t, Config{History: func(string) ([]record.Visit, error) { return []record.Visit{{Serial: "new"}}, nil }}, 100, 24)
	press(m, "h", "x")
	send(m, rowsMsg{asked: 1, rows: []record.Visit{{Serial: "old"}}})
	mustShow(t, m, "new")
	mustHide(t, m, "old")
}

func TestDetailsOfASlot(t *testing.T) {
	m := screen(t, Config{Detail: func(chip.MAC) (board.Detail, error) { return board.Detail{}, errors.New("ledger: closed") }}, 100, 24)
	send(m, running(t, "retry", toTheEnd))
	press(m, "enter")
	mustShow(t, m, "Slot 1  02:00:00:00:00:00", "step.started", "E-PORT-GONE", "the port is gone", "ledger: closed")
	press(m, "right", "right")
	mustShow(t, m, "ledger: closed")
	press(m, "left", "left", "esc")
	if m.dialog != nil {
		t.Error("Esc does not go back")
	}
}
