package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"station/internal/hsm/hsmtest"
)

// What a module writes to standard error is in the log and nowhere else; what
// the station says itself stays on standard error.
func TestWhatAModuleSays(t *testing.T) {
	f := newFloor(t)
	tr := f.trial(t)
	t.Setenv("SOFTHSM2_CONF", filepath.Join(tr.dir, "hsm", "softhsm2.conf"))
	cfg, faults := hsmtest.Faulty(t, tr.token())
	if err := furnish(tr.dir, filepath.Join(tr.dir, "hsm"), cfg.URI.ModulePath); err != nil {
		t.Fatal(err)
	}
	faults.Set("SAYS 0 -1 0")
	tr.chip.do(t, "loader")
	cmd := tr.program("station", append([]string{"run", "--log", "log.jsonl"}, tr.runArgs()...)...)
	_, stderr := watchRun(t, cmd, tr.attend)
	log, err := os.ReadFile(filepath.Join(tr.dir, "log.jsonl"))
	if err != nil || cmd.ProcessState.ExitCode() != 0 {
		t.Fatalf("%v, %v\n%s", err, cmd.ProcessState, stderr)
	}
	const said = `"event":"module.said","message":"module: C_Sign"`
	if !strings.Contains(string(log), said) {
		t.Errorf("the log holds no %s", said)
	}
	if !strings.Contains(string(log), `"message":"module: C_Initialize"`) {
		t.Error("what was said before the log was open is not in it")
	}
	if strings.Contains(stderr, "module: C_Login") { // what it says while the log is being closed may be there
		t.Errorf("standard error holds it\n%s", stderr)
	}
}

// A module that never ends a line, or says what acts on a terminal, costs little
// and does nothing.
func TestAModuleThatSaysFarTooMuch(t *testing.T) {
	m := moduleVoice{ended: make(chan struct{}), restore: func() {}}
	m.hear(io.NopCloser(io.MultiReader(strings.NewReader(hostile+"\r\n"), io.LimitReader(endless{}, 4<<20))))
	if len(m.kept) != mostKept {
		t.Errorf("%d lines are kept, want %d", len(m.kept), mostKept)
	}
	for _, line := range m.kept {
		if len(line) > longestSaid {
			t.Errorf("a line of %d bytes is kept", len(line))
		}
	}
	var person bytes.Buffer
	m.end(&person)
	mustBePlain(t, "the module", person.Bytes()[:500])
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	copy(p, bytes.Repeat([]byte{'x'}, len(p)))
	return len(p), nil
}
