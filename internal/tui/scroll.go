package tui

import (
	"github.com/charmbracelet/bubbles/key"
	tea "github.com/charmbracelet/bubbletea"
)

// window is the part of the lines that is shown, from top on. At the end the
// last lines stay in view.
func window(lines []string, top, n int) []string {
	n = max(n, 0)
	top = max(0, min(top, len(lines)-n))
	return lines[top:min(top+n, len(lines))]
}

// scrollKey moves the first line shown; n is how many there may be.
func (m *Model) scrollKey(top *int, n int) binding {
	shown := "↑↓"
	if m.style.ascii {
		shown = m.lang.arrows
	}
	return binding{
		key.NewBinding(key.WithKeys("up", "down", "pgup", "pgdown", "home", "end"), key.WithHelp(shown, m.lang.kScroll)),
		func(k tea.KeyMsg) tea.Cmd {
			*top = moved(*top, n, k.String())
			return nil
		},
	}
}
