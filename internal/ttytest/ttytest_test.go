//go:build unix

package ttytest

import (
	"os/exec"
	"strings"
	"testing"
)

func TestTerminalReadsAProgram(t *testing.T) {
	term := Start(t, exec.Command("sh", "-c", `printf '\033[?1049h\033[31m中文\033[0m ok\a\n'; read line; stty size; printf '\033[?1049lgot %s' "$line"; exit 3`), 40, 10)
	term.Wait("中文 ok")
	term.Until("the bell rang on the alternate screen", func(string) bool { return term.alt && term.bells == 1 })
	term.Resize(60, 12)
	term.Press("hello", "enter")
	term.Wait("got hello")
	if code := term.Exit(); code != 3 {
		t.Errorf("exit code: got %d, want 3", code)
	}
	term.Restored()
	if term.Written() == 0 {
		t.Error("nothing was counted")
	}
	if strings.Contains(term.Text(), "中文") {
		t.Error("the alternate screen is still there")
	}
}

// What a program writes last is on the screen when Exit says that it has ended.
func TestExitHasTheLastWord(t *testing.T) {
	for range 3 {
		term := Start(t, exec.Command("sh", "-c", `head -c 2000 /dev/zero | tr '\0' '\n'; printf last`), 40, 10)
		if term.Exit(); !strings.Contains(term.Text(), "last") {
			t.Fatalf("the screen is %q", term.Text())
		}
	}
}
