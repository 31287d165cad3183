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

// scrollKeys move the first line shown of n lines, where not all fit into room.
func (m *Model) scrollKeys(top *int, n, room int) []binding {
	if n <= room {
		return nil
	}
	return []binding{m.arrows(m.lang.kScroll, func(k string) { *top = moved(*top, n-room+1, k) }, "home", "end")}
}

// arrows is a binding of the keys that go up and down.
func (m *Model) arrows(label string, do func(key string), more ...string) binding {
	shown := "↑↓"
	if m.style.ascii {
		shown = m.lang.arrows
	}
	keys := append([]string{"up", "down", "pgup", "pgdown"}, more...)
	return binding{key.NewBinding(key.WithKeys(keys...), key.WithHelp(shown, label)), func(k tea.KeyMsg) tea.Cmd {
		do(k.String())
		return nil
	}}
}
