package tui

import (
	"slices"

	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"

	"station/internal/record"
)

// binding is a key that works now and what it does. Footer and help are drawn
// from the same bindings that Update looks keys up in, so they cannot lie.
type binding struct {
	key.Binding
	do func(tea.KeyMsg) tea.Cmd
}

func bind(do func() tea.Cmd, shown, label string, keys ...string) binding {
	return binding{key.NewBinding(key.WithKeys(keys...), key.WithHelp(shown, label)), func(tea.KeyMsg) tea.Cmd { return do() }}
}

// bindings are the keys that work now.
func (m *Model) bindings() []binding {
	switch {
	case m.dialog != nil:
		return m.dialog.keys(m)
	case m.player != nil:
		return append(m.playerKeys(), m.viewKeys()...)
	}
	return append(m.lineKeys(), m.viewKeys()...)
}

// press gives a key to what it is bound to, else to the dialogue, else to the
// scanner's line.
func (m *Model) press(msg tea.KeyMsg) tea.Cmd {
	if msg.String() == "ctrl+c" {
		return m.leave()
	}
	for _, b := range m.bindings() {
		if key.Matches(msg, b.Binding) {
			return b.do(msg)
		}
	}
	switch {
	case m.dialog != nil:
		return m.dialog.update(m, msg)
	case m.cfg.Scan != nil:
		return m.scan(msg)
	}
	return nil
}

// name is the key that a command is shown with. Where a scanner types into the
// screen, letters are serial numbers and commands are on function keys.
func (m *Model) name(letter, function string) (shown string, keys []string) {
	if m.cfg.Scan != nil {
		return functionNames[function], []string{function}
	}
	return letter, []string{letter, function}
}

var functionNames = map[string]string{
	"f1": "F1", "f2": "F2", "f3": "F3", "f4": "F4", "f5": "F5", "f6": "F6", "f7": "F7", "f8": "F8", "f10": "F10",
}

// lineKeys act on the line.
func (m *Model) lineKeys() []binding {
	var out []binding
	add := func(on bool, letter, function, label string, do func() tea.Cmd) {
		if shown, keys := m.name(letter, function); on {
			out = append(out, bind(do, shown, label, keys...))
		}
	}
	if len(m.unseen) > 0 {
		out = append(out, bind(m.acknowledge, m.lang.space, m.lang.kAck, " "))
	}
	add(m.failedAlike() != nil, "g", "f7", m.lang.kGoOn, m.askGoOn)
	slot := m.slot()
	add(m.cfg.Retry != nil && slot != nil && !slot.Busy && slot.Verdict != "" && slot.Verdict != record.Pass && !slot.Removed && !m.stopping && !m.status.Done,
		"r", "f2", m.lang.kRetry, m.again)
	add(slot != nil && !slot.Busy && m.status.Owes(slot.MAC), "x", "f8", m.lang.kDismiss, m.dismiss)
	add(m.cfg.History != nil, "h", "f3", m.lang.kHistory, m.openHistory)
	add(m.cfg.Bell != nil, "m", "f5", pick(m.muted, m.lang.kSound, m.lang.kMute), m.toggleSound)
	add(m.cfg.Pause != nil && !m.stopping && !m.status.Done, "p", "f6", pick(m.paused, m.lang.kGoOn, m.lang.kPause), m.togglePause)
	return out
}

// viewKeys look at the line, or leave it.
func (m *Model) viewKeys() []binding {
	var out []binding
	if slot := m.slot(); slot != nil && len(slot.Log) > 0 {
		shown, keys := m.lang.enter, []string{"enter", "f4"}
		if m.cfg.Scan != nil {
			shown, keys = "F4", keys[1:]
		}
		out = append(out, bind(m.openDetail, shown, m.lang.kDetails, keys...))
	}
	if len(m.status.Slots) > 1 {
		arrows := "←↑↓→"
		if m.style.ascii {
			arrows = m.lang.arrows
		}
		out = append(out, binding{key.NewBinding(key.WithKeys("left", "right", "up", "down"), key.WithHelp(arrows, m.lang.kSelect)), m.choose})
	}
	shown, keys := m.name("?", "f1")
	out = append(out, bind(m.openHelp, shown, m.lang.kHelp, keys...))
	if !m.stopping {
		shown, keys = m.name("q", "f10")
		out = append(out, bind(m.leave, shown, m.lang.kQuit, keys...))
	}
	return out
}

func pick(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}

func (m *Model) choose(msg tea.KeyMsg) tea.Cmd {
	g := m.grid()
	step := map[string]int{"left": -1, "right": 1, "up": -g.cols, "down": g.cols}[msg.String()]
	if next := m.chosen + step; next >= 0 && next < len(m.status.Slots) {
		m.chosen = next
	}
	return nil
}

// acknowledge takes note of the chosen slot's failure, or of the first.
func (m *Model) acknowledge() tea.Cmd {
	name := m.slot().Name
	if !m.unseen[name] {
		for _, s := range slices.Backward(m.status.Slots) {
			if m.unseen[s.Name] {
				name = s.Name
			}
		}
	}
	delete(m.unseen, name)
	seen := m.cfg.Ack
	return func() tea.Msg { seen(name); return nil }
}

func (m *Model) again() tea.Cmd {
	name, retry := m.slot().Name, m.cfg.Retry
	delete(m.unseen, name)
	return func() tea.Msg { retry(name); return nil }
}

// dismiss says that the chosen slot's device will not be put back.
func (m *Model) dismiss() tea.Cmd {
	m.status.Dismiss(m.slot().MAC)
	return nil
}

func (m *Model) toggleSound() tea.Cmd {
	m.muted = !m.muted
	return nil
}

func (m *Model) togglePause() tea.Cmd {
	m.paused = !m.paused
	on, pause := m.paused, m.cfg.Pause
	return func() tea.Msg { pause(on); return nil }
}

// leave ends what can be ended at once, and asks before it stops a line.
func (m *Model) leave() tea.Cmd {
	if m.player != nil || !m.started || m.status.Done {
		return m.finish()
	}
	if !m.stopping {
		m.dialog = &quitDialog{}
	}
	return nil
}

func (m *Model) finish() tea.Cmd {
	if m.player != nil {
		return tea.Quit
	}
	return m.stop()
}
