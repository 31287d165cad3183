package tui

import (
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"station/internal/flow"
)

// A barcode scanner is a keyboard: characters, then Enter. What it types while
// the line is shown is a serial number.

// longestSerial keeps a stuck key from filling the line.
const longestSerial = 64

func (m *Model) scan(msg tea.KeyMsg) tea.Cmd {
	switch msg.Type {
	case tea.KeyRunes, tea.KeySpace:
		if text := m.serial + string(msg.Runes); len(text) <= longestSerial {
			m.serial = text
		}
	case tea.KeyBackspace:
		if r := []rune(m.serial); len(r) > 0 {
			m.serial = string(r[:len(r)-1])
		}
	case tea.KeyEsc:
		m.serial = ""
	case tea.KeyEnter, tea.KeyTab:
		return m.bindSerial()
	}
	return nil
}

// waiting is the slot that wants a serial number: the chosen one, or the one
// that has waited longest.
func (m *Model) waiting() *flow.SlotStatus {
	if s := m.slot(); s != nil && toneOf(s) == scanning {
		return s
	}
	var first *flow.SlotStatus
	for _, s := range m.status.Slots {
		if toneOf(s) == scanning && (first == nil || s.StepStarted.Before(first.StepStarted)) {
			first = s
		}
	}
	return first
}

func (m *Model) bindSerial() tea.Cmd {
	serial := strings.TrimSpace(m.serial)
	m.serial = ""
	if serial == "" {
		return nil
	}
	slot, said := "", fmt.Sprintf(m.lang.boundNext, serial)
	if s := m.waiting(); s != nil {
		slot, said = s.Name, fmt.Sprintf(m.lang.bound, serial, s.Name)
	}
	scan := m.cfg.Scan
	return func() tea.Msg {
		if err := scan(slot, serial); err != nil {
			return noticeMsg{err.Error(), true}
		}
		return noticeMsg{text: said}
	}
}

// serialLine is where a scanned number appears.
func (m *Model) serialLine() string {
	prompt := m.lang.serialNext
	if s := m.waiting(); s != nil {
		prompt = fmt.Sprintf(m.lang.serialFor, s.Name)
	}
	text := m.style.bold.s(m.serial) + m.style.key.s(" ")
	if m.serial == "" {
		text = m.style.dim.s(m.lang.scanEmpty)
	}
	return fit(" "+prompt+" "+text, m.width)
}
