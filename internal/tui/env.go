package tui

import "strings"

// PlainASCII reports whether a terminal with this environment should get
// plain ASCII: its locale is not UTF-8, or it cannot do much at all. Windows
// consoles have no locale in the environment and get UTF-8.
func PlainASCII(env func(string) string, windows bool) bool {
	if env("TERM") == "dumb" {
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToUpper(env(name)); v != "" {
			return !strings.Contains(v, "UTF-8") && !strings.Contains(v, "UTF8")
		}
	}
	return !windows
}

// WithoutColor reports whether the environment asks for no colours
// (no-color.org).
func WithoutColor(env func(string) string) bool { return env("NO_COLOR") != "" }
