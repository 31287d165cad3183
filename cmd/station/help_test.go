package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
)

// Whoever asks for help at a terminal of 80 columns reads whole lines, and an example
// that was broken can be pasted as it is.
func TestHelpFits(t *testing.T) {
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		text := helpOf(cmd)
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			oneArgument := strings.Contains(line, "--key 'pkcs11:") // cannot be broken
			if utf8.RuneCountInString(line) > helpWidth && !oneArgument {
				t.Errorf("%s --help is wider than %d columns: %q", cmd.CommandPath(), helpWidth, line)
			}
		}
		joined := strings.ReplaceAll(text, " \\\n      ", " ")
		for line := range strings.Lines(cmd.Example) {
			if !strings.Contains(joined, strings.TrimRight(line, "\n")+"\n") {
				t.Errorf("%s --help shows another example than %q", cmd.CommandPath(), line)
			}
		}
		for _, sub := range cmd.Commands() {
			look(sub)
		}
	}
	look(rootCommand())
}

// What no line fits is wrapped between words, never inside of a flag's name, and lists
// stay as they were written.
func TestHelpIsWrapped(t *testing.T) {
	long := strings.Repeat("word ", 14) + "a --flag-of-length and more\n  -x  stays\n\nanother"
	want := strings.Repeat("word ", 14) + "a\n--flag-of-length and more\n  -x  stays\n\nanother"
	if got := reflow(long); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	one := "  station x --one " + strings.Repeat("1", 50) + " --two " + strings.Repeat("2", 20)
	if got := fold(one); got != "  station x --one "+strings.Repeat("1", 50)+" \\\n      --two "+strings.Repeat("2", 20)+"\n" {
		t.Errorf("got %q", got)
	}
}
