// Package tui is what an operator sees: the line of slots as tiles, the day's
// counts, and the questions at the start of a shift.
//
// The screen learns what happens only from flow's events. Update folds them,
// View draws what was folded and changes nothing. What an operator may ask of
// the line comes in as functions; the screen knows no ledger, token or port.
package tui

import (
	"errors"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"station/internal/board"
	"station/internal/flow"
)

// ErrLeft means that somebody left the screen before the line was started.
var ErrLeft = errors.New("left before the line was started")

// Model is the screen as bubbletea wants it.
type Model struct {
	cfg    Config
	lang   *language
	style  styles
	status board.Status
	health board.Health
	now    time.Time

	width, height int
	chosen        int    // index of the slot that keys act on
	dialog        dialog // nil: the line is shown
	asked         asked
	player        *player // nil: the line is real

	started, stopping bool
	paused, muted     bool
	checking          bool            // Health has been asked and has not answered
	unseen            map[string]bool // failures that nobody has acknowledged
	serial            string          // typed or scanned so far
	pending, taken    string          // serials: that waits for the next device, that a device got last
	notice            notice
	err               error
}

// notice is a short message that goes by itself.
type notice struct {
	text  string
	bad   bool
	until time.Time
}

// noticeTime is long enough to be read from two metres.
const noticeTime = 8 * time.Second

// Messages of the screen to itself.
type (
	eventsMsg  []flow.Event
	tickMsg    time.Time
	healthMsg  board.Health
	stopMsg    struct{}
	startedMsg struct{ err error }
	todayMsg   struct {
		day board.Day
		err error
	}
	noticeMsg struct {
		text string
		bad  bool
	}
)

// New is the screen, drawn with the colours of r.
func New(cfg Config, r *lipgloss.Renderer) *Model {
	lang, ok := languages[cfg.Language]
	if !ok {
		lang = &english
	}
	m := &Model{cfg: plainConfig(cfg), lang: lang, style: newStyles(r, cfg.ASCII, cfg.NoColor), unseen: map[string]bool{}}
	m.status.Day = cfg.Day
	m.status.Simulated = cfg.Simulation
	return m
}

// Init asks the first question of the shift, or starts the line.
func (m *Model) Init() tea.Cmd {
	if m.player != nil {
		return nextFrame()
	}
	return tea.Batch(tick(), m.openShift())
}

// Err is why the screen ended early; nil after a line that was stopped.
func (m *Model) Err() error { return m.err }

// Update folds one message.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		return m, nil
	case flow.Event:
		return m, m.fold(msg)
	case eventsMsg:
		return m, m.fold(msg...)
	case tickMsg:
		m.now = time.Time(msg)
		return m, tea.Batch(tick(), m.askHealth())
	case healthMsg:
		m.health, m.checking = board.Health(msg), false
		return m, nil
	case playMsg:
		return m, m.play()
	case todayMsg:
		if msg.err != nil {
			m.err = msg.err
			return m, tea.Quit
		}
		m.status.Day = msg.day
		return m, m.begin()
	case startedMsg:
		if msg.err != nil {
			m.err = msg.err
			return m, tea.Quit
		}
		return m, nil
	case stopMsg:
		return m, m.stop()
	case noticeMsg:
		return m, m.note(msg.text, msg.bad)
	case scannedMsg:
		return m, m.scanned(msg)
	case tea.KeyMsg:
		return m, m.press(msg)
	}
	if m.dialog != nil {
		return m, m.dialog.update(m, msg)
	}
	return m, nil
}

// note shows a short message for a while.
func (m *Model) note(text string, bad bool) tea.Cmd {
	m.notice = notice{clean(text), bad, m.now.Add(noticeTime)}
	return m.ring(bad)
}

// fold takes what the line tells.
func (m *Model) fold(events ...flow.Event) tea.Cmd {
	var results, bad bool
	for _, e := range events {
		e = cleanEvent(e)
		busy := e.Slot != "" && m.status.Slot(e.Slot).Busy
		m.status.Apply(e)
		if e.Serial != "" {
			if m.taken = e.Serial; m.pending == e.Serial {
				m.pending = ""
			}
		}
		switch e.Event {
		case flow.StepStarted:
			if !busy {
				delete(m.unseen, e.Slot)
			}
		case flow.DevicePassed:
			results = true
		case flow.DeviceFailed, flow.DeviceQuarantined:
			results, bad = true, true
			if m.cfg.Ack != nil {
				m.unseen[e.Slot] = true
			}
		}
	}
	if m.status.Now.After(m.now) {
		m.now = m.status.Now
	}
	if _, asking := m.dialog.(*quitDialog); asking && m.status.Done {
		m.dialog = nil // there is nothing left to stop
	}
	switch {
	case m.status.Done && m.stopping:
		return tea.Quit
	case results:
		return m.ring(bad)
	}
	return nil
}

// ring sounds once for a good result, and three times where somebody has to
// come and look.
func (m *Model) ring(bad bool) tea.Cmd {
	if m.cfg.Bell == nil || m.muted {
		return nil
	}
	n := 1
	if bad {
		n = 3
	}
	bell := m.cfg.Bell
	var cmds []tea.Cmd
	for i := range n {
		cmds = append(cmds, tea.Tick(time.Duration(i)*150*time.Millisecond, func(time.Time) tea.Msg {
			bell()
			return nil
		}))
	}
	return tea.Batch(cmds...)
}

func tick() tea.Cmd {
	return tea.Tick(time.Second, func(t time.Time) tea.Msg { return tickMsg(t) })
}

func (m *Model) askHealth() tea.Cmd {
	if m.cfg.Health == nil || m.checking || !m.started {
		return nil
	}
	m.checking = true
	ask := m.cfg.Health
	return func() tea.Msg { return healthMsg(ask()) }
}

// start begins the line, once. What the station did today has to be known
// before the first event counts on.
func (m *Model) start() tea.Cmd {
	m.started, m.dialog = true, nil
	today := m.cfg.Today
	if today == nil {
		return m.begin()
	}
	return func() tea.Msg {
		day, err := today()
		return todayMsg{day, err}
	}
}

func (m *Model) begin() tea.Cmd {
	start := m.cfg.Start
	if start == nil {
		return nil
	}
	return func() tea.Msg { return startedMsg{start()} }
}

// stop asks the line to end; the screen ends with it.
func (m *Model) stop() tea.Cmd {
	switch {
	case m.stopping:
		return nil
	case !m.started:
		m.err = ErrLeft
		return tea.Quit
	case m.status.Done || m.cfg.Quit == nil:
		return tea.Quit
	}
	m.stopping, m.dialog = true, nil
	quit := m.cfg.Quit
	return func() tea.Msg { quit(); return nil }
}

// simulated reports whether the watermark has to be shown.
func (m *Model) simulated() bool { return m.cfg.Simulation || m.status.Simulated }

// slot is the chosen slot; nil before there is any.
func (m *Model) slot() *board.SlotStatus {
	if len(m.status.Slots) == 0 {
		return nil
	}
	return m.status.Slots[min(m.chosen, len(m.status.Slots)-1)]
}
