package tui

import (
	"unicode/utf8"

	tea "github.com/charmbracelet/bubbletea"

	"station/internal/secret"
)

// pinDialog asks for the token's PIN. It shows nothing of it, not even its
// length, and keeps it only in memory that is overwritten.
type pinDialog struct {
	question
	pin *secret.Bytes // longestPIN bytes, the first n of them typed
	n   int
}

// longestPIN is PKCS#11's practical limit with room to spare.
const longestPIN = 256

func (d *pinDialog) keys(m *Model) []binding {
	var out []binding
	if !d.busy && d.n > 0 {
		out = append(out,
			bind(func() tea.Cmd { return d.accept(m) }, m.lang.enter, m.lang.kOK, "enter"),
			bind(d.erase, "Ctrl+U", m.lang.kErase, "ctrl+u"))
	}
	return append(out, bind(func() tea.Cmd { d.erase(); return m.leave() }, m.lang.esc, m.lang.kLeave, "esc"))
}

// accept hands the PIN over and forgets it.
func (d *pinDialog) accept(m *Model) tea.Cmd {
	check, pin, err := m.cfg.Shift.PIN, d.pin, error(nil)
	var typed *secret.Bytes
	if typed, err = secret.Make(d.n); err != nil {
		d.err = err
		return nil
	}
	copy(typed.Reveal(), pin.Reveal()[:d.n])
	d.erase()
	return d.ask(func() error {
		defer typed.Destroy()
		return check(typed)
	})
}

func (d *pinDialog) erase() tea.Cmd {
	d.pin.Destroy()
	d.pin, d.n = nil, 0
	return nil
}

func (d *pinDialog) update(m *Model, msg tea.Msg) tea.Cmd {
	if good, _ := d.answered(msg); good {
		m.asked.pin = true
		return m.openShift()
	}
	k, ok := msg.(tea.KeyMsg)
	if !ok || d.busy {
		return nil
	}
	switch k.Type {
	case tea.KeyRunes, tea.KeySpace:
		d.err = d.add(k.Runes)
	case tea.KeyBackspace:
		if d.n > 0 {
			typed := d.pin.Reveal()
			_, size := utf8.DecodeLastRune(typed[:d.n])
			clear(typed[d.n-size : d.n])
			d.n -= size
		}
	}
	return nil
}

// add appends what was typed and overwrites it where it came from.
func (d *pinDialog) add(typed []rune) error {
	defer clear(typed)
	if d.pin == nil {
		pin, err := secret.Make(longestPIN)
		if err != nil {
			return err
		}
		d.pin = pin
	}
	for _, r := range typed {
		if d.n+utf8.RuneLen(r) <= longestPIN {
			d.n += utf8.EncodeRune(d.pin.Reveal()[d.n:], r)
		}
	}
	return nil
}

func (d *pinDialog) view(m *Model, w, _ int) []string {
	lines := []string{m.style.title.s(m.lang.askPIN), "", "> " + m.style.key.s(" "), ""}
	lines = append(lines, wrap(m.lang.pinHow, w, 2, m.style.signs.ellipsis)...)
	return append(lines, d.said(m, w)...)
}
