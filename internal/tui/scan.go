package tui

import (
	"errors"
	"fmt"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"station/internal/board"
	"station/internal/flow"
	"station/internal/words"
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
		return m.takeBack()
	case tea.KeyEnter, tea.KeyTab:
		return m.bindSerial()
	}
	return nil
}

// takeBack erases what was typed, or else takes back the serial number that
// waits for the next device.
func (m *Model) takeBack() tea.Cmd {
	unscan := m.cfg.Unscan
	if m.serial != "" || m.pending == "" || unscan == nil {
		m.serial = ""
		return nil
	}
	m.pending = ""
	return func() tea.Msg { unscan(); return nil }
}

// waiting is the one slot that asks for a serial number: the first of the
// fixture among those that want one. The others wait for their turn.
func (m *Model) waiting() *board.SlotStatus {
	for _, s := range m.status.Slots {
		if words.ToneOf(s) == scanning {
			return s
		}
	}
	return nil
}

// scannedMsg is what became of a serial number.
type scannedMsg struct {
	slot, serial string
	err          error
}

func (m *Model) bindSerial() tea.Cmd {
	serial := strings.TrimSpace(m.serial)
	m.serial = ""
	if serial == "" {
		return nil
	}
	slot := ""
	if s := m.waiting(); s != nil {
		slot = s.Name
	}
	scan := m.cfg.Scan
	return func() tea.Msg { return scannedMsg{slot, serial, scan(slot, serial)} }
}

// scanned tells what became of a serial number.
func (m *Model) scanned(msg scannedMsg) tea.Cmd {
	switch {
	case msg.err != nil:
		return m.note(m.serialFault(msg.err), true)
	case msg.slot != "":
		return m.note(fmt.Sprintf(m.lang.bound, msg.serial, msg.slot), false)
	}
	if m.pending = msg.serial; m.taken == msg.serial { // a device was quicker
		m.pending = ""
	}
	return nil
}

// serialFault is what is wrong with a serial number, in this language.
func (m *Model) serialFault(err error) string {
	var fault *flow.SerialError
	if !errors.As(err, &fault) {
		return err.Error()
	}
	words := map[flow.SerialFault]string{
		flow.SerialShape:   fmt.Sprintf(m.lang.serialShape, fault.Serial),
		flow.SerialTaken:   fmt.Sprintf(m.lang.serialTaken, fault.Serial, fault.Owner),
		flow.SerialGiven:   fmt.Sprintf(m.lang.serialGiven, fault.Serial),
		flow.SerialPending: fmt.Sprintf(m.lang.serialPending, fault.Other, m.lang.esc),
		flow.SerialUnasked: fmt.Sprintf(m.lang.serialUnasked, fault.Serial),
	}
	return words[fault.Why]
}

// serialLine is where a scanned number appears, or the one that waits.
func (m *Model) serialLine() string {
	prompt := m.lang.serialNext
	if s := m.waiting(); s != nil {
		prompt = fmt.Sprintf(m.lang.serialFor, s.Name)
	}
	text := m.style.bold.s(m.serial) + m.style.key.s(" ")
	switch {
	case m.serial != "":
	case m.pending != "":
		text = m.style.bold.s(fmt.Sprintf(m.lang.boundNext, clean(m.pending), m.lang.esc))
	default:
		text = m.style.dim.s(m.lang.scanEmpty)
	}
	return fit(" "+prompt+" "+text, m.width)
}
